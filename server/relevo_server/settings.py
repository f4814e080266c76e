"""The server's settings: from flags, else the environment, else a file, else defaults."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator
from pydantic_settings import (
    BaseSettings,
    CliImplicitFlag,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from relevo_server.addresses import address, is_local, metrics_address, store_url
from relevo_server.encryption import Encryption
from relevo_server.identities import (
    Issuer,
    Loc,
    Name,
    Principal,
    apart,
    conflicts,
    distinct,
    wrong,
)
from relevo_server.quotas import Quotas
from relevo_server.schemas import of_scopes
from relevo_server.ttl import Seconds, Ttl

ENV_PREFIX, NESTING = "RELEVO_", "__"
MAX_WORKERS = 1024
_ELSE = "listen on a loopback address, or say --insecure (insecure = true)"


def _store_url(value: SecretStr) -> SecretStr:
    return SecretStr(store_url(value.get_secret_value()))


class Settings(BaseSettings):
    """Settings of `relevo serve`.

    Environment variables begin with RELEVO_ and write `__` for a dot
    (RELEVO_TTL__DEFAULT=60).
    """

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_nested_delimiter=NESTING,
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
        cli_kebab_case=True,
        cli_hide_none_type=True,
    )

    listen: Annotated[str, AfterValidator(address)] = "127.0.0.1:7390"
    """Address and port to listen on; port 0 takes a free one."""
    reuse_port: bool = False
    """Let several servers share one port (SO_REUSEPORT)."""
    workers: Annotated[int, Field(gt=0, le=MAX_WORKERS)] | Literal["auto"] = 1
    """Processes that share the port, each with a core of its own; `auto` for as many as there are
    cores that may be used. Needs a store that is not memory://."""
    worker_timeout: Annotated[Seconds, Field(ge=0.5)] = 30.0
    """Seconds without a sign of life after which a worker is killed and replaced."""
    tls_certificate: Path | None = None
    """PEM file of the server's certificate; with tls_key, the port speaks TLS."""
    tls_key: Path | None = None
    """PEM file of the certificate's private key."""
    tls_client_ca: Path | None = None
    """PEM file of a CA; clients must then present a certificate that it signed."""
    principals: Annotated[tuple[Principal, ...], AfterValidator(apart)] = ()
    """The callers that may use the server. Without them and issuers, everyone may do everything."""
    issuers: Annotated[tuple[Issuer, ...], AfterValidator(distinct)] = ()
    """The issuers of JWTs whose owners may use the server. Needs the extra `jwt`."""
    insecure: CliImplicitFlag[bool] = False
    """Listen beyond this host without TLS, or let everyone do everything there."""
    reference_keys: Path | None = None
    """File of keys that sign the references of entries: a line for each, with a name and a secret
    in base64. The first one signs."""
    reference_ttl: Annotated[Seconds, Field(ge=300)] = 21_600.0
    """Seconds for which a signature counts."""

    redacted: tuple[str, ...] = (
        *("api_key", "apikey", "authorization", "credentials", "passwd", "password"),
        *("private_key", "secret", "token"),
    )
    """Keys and sections of contexts that are secret; `openai_api_key` and `apiKey` count as
    `api_key`. Explain does not show their values."""

    store: Annotated[SecretStr, AfterValidator(_store_url)] = SecretStr("memory://")
    """memory://, redis://, rediss://, unix://, redis+sentinel://, rediss+sentinel://,
    redis+cluster:// or rediss+cluster://; or file:///…, a file with such a URL."""
    store_prefix: Annotated[str, Field(pattern="^[A-Za-z0-9_.-]{1,64}$")] = "relevo"
    """The prefix of the names of all keys in Redis."""
    encryption: Encryption | None = None
    """Encryption of values before Redis has them; none by default. See docs/encryption.md."""
    store_timeout: Seconds = 1.0
    """Seconds that one step of the store may take."""
    store_connections: Annotated[int, Field(gt=0)] = 64
    """The most connections to a Redis server."""
    partitions: Annotated[int, Field(gt=0, le=16384)] = 64
    """The number of partitions; fixed when the store is first used."""
    log_length: Annotated[int, Field(gt=0)] = 100_000
    """The approximate number of events that a partition keeps."""

    ttl: Ttl = Ttl()
    """The time to live of entries."""
    request_id_ttl: Seconds = 600.0
    """Seconds for which a Put or an Invalidate with the same request_id is the same one."""
    lease_ttl: Annotated[Seconds, Field(le=3600)] = 10.0
    """Seconds that the holder of a lease has to write the entry; if it dies, other callers
    wait for as long."""
    schemas: Annotated[dict[Name, Path], AfterValidator(of_scopes)] = {}
    """JSON Schema files of contexts, by scope; a Put that breaks the one of its scope is refused.
    Needs the extra `schemas`."""
    max_context_bytes: Annotated[int, Field(gt=0, le=64 << 20)] = 256 << 10
    """The largest context, in bytes of its serialized form."""
    max_batch_bytes: Annotated[int, Field(gt=0)] = 3 << 20
    """The size in bytes at which a BatchGet's answer takes no further entries; gRPC clients
    accept 4 MiB by default."""
    watch_heartbeat: Annotated[Seconds, Field(le=5)] = 0.5
    """Seconds between two signs of life on a Watch stream; clients stop trusting their
    copies if a few of them are missing."""
    watch_push_bytes: Annotated[int, Field(ge=0)] = 16 << 10
    """The largest context, in bytes, that is sent to every watcher; of a larger one, watchers
    are told only that it changed."""
    watch_buffer_bytes: Annotated[int, Field(gt=0)] = 4 << 20
    """The most bytes that may wait for one watcher; beyond that its stream is reset."""
    watch_max_keys: Annotated[int, Field(gt=0)] = 100_000
    """The most keys that one stream may subscribe to."""
    cache_max_entries: Annotated[int, Field(ge=0)] = 10_000
    """The most entries cached in memory for reads with CONSISTENCY_CACHED. If 0, such reads
    go to the store like all others."""
    cache_max_bytes: Annotated[int, Field(ge=0)] = 64 << 20
    """The most bytes that these entries take together, approximately."""
    recent_max_bytes: Annotated[int, Field(ge=0)] = 32 << 20
    """The most bytes of contexts cached after reads of any consistency: a later read asks
    Redis for the version, and for the context only if it changed. If 0, none are cached."""
    cache_max_staleness: Seconds = 1.0
    """Seconds after which every read with CONSISTENCY_CACHED shows an acknowledged write."""
    cache_idle: Seconds = 60.0
    """Seconds for which a partition is followed after the last read with CONSISTENCY_CACHED."""
    max_concurrent_calls: Annotated[int, Field(gt=0)] = 4096
    """The most concurrent calls; further ones are refused."""
    max_connection_streams: Annotated[int, Field(gt=0)] = 1000
    """The most concurrent calls and streams of one connection; further ones wait in the client."""
    max_unsent_bytes: Annotated[int, Field(gt=0)] = 16 << 20
    """The most bytes of large answers that one principal, or without principals one connection,
    has not yet received; further ones are not read before there is room."""
    quotas: Quotas = Quotas()
    """The quotas of each tenant and each principal."""

    metrics_listen: Annotated[str, AfterValidator(metrics_address)] | None = None
    """Address and port at which Prometheus finds /metrics; without an address, on all interfaces.
    Port 0 takes a free one. Needs the extra `telemetry`."""
    otlp_endpoint: str | None = None
    """URL of a collector that metrics and traces are sent to, as http://localhost:4317; replaces
    OTEL_EXPORTER_OTLP_ENDPOINT. Needs the extra `telemetry`."""

    audit: Literal["off", "denials", "all"] = "denials"
    """Whether the audit has records of nothing; of denials, failed authentications, administrative
    acts and reloads; or of all these and of writes."""
    audit_file: Path | None = None
    """File that audit records are appended to, beside the log; another one is begun if it is
    moved."""
    audit_otlp: bool = False
    """Send audit records to the collector too, as logs of OTLP. Needs the extra `telemetry`."""

    grace: Seconds = 5.0
    """Seconds that calls have to end after SIGTERM."""
    max_connection_age: Annotated[Seconds, Field(ge=1)] | None = None
    """Seconds after which a connection is ended in order, some sooner and some later, so that
    clients spread over the servers that there are by then; calls on it have `grace` to end."""
    health_interval: Seconds = 1.0
    """Seconds between two checks of the store."""
    reflection: bool = True
    """Serve gRPC reflection, which grpcurl uses to list and describe the service."""
    channelz: bool = True
    """Serve channelz, gRPC's view of its connections; callers need the role `admin`."""
    reload_interval: Seconds = 2.0
    """Seconds between two looks for changed files of settings, certificates and keys."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The lowest severity that is logged."""
    log_format: Literal["json", "console"] = "json"
    """One JSON object a line, or text for people to read."""

    @model_validator(mode="after")
    def _callers_are_known(self) -> Self:
        problems = [*conflicts(self.principals, self.issuers), *self._exposures()]
        for i, each in enumerate(self.principals):
            if each.certificate and not self.tls_client_ca:
                problems.append((("principals", i, "certificate"), "needs tls_client_ca"))
        if problems:
            raise wrong(problems)
        return self

    def _exposures(self) -> Iterator[tuple[Loc, str]]:
        """The dangers of strangers who reach the address."""
        if self.insecure or is_local(self.listen):
            return
        for is_safe, problem in (
            (self.principals or self.issuers, "everyone may do everything: set principals"),
            (
                self.tls_certificate,
                "contexts and tokens travel unencrypted: set tls_certificate and tls_key",
            ),
        ):
            if not is_safe:
                yield ("listen",), f"other hosts can reach it, and {problem}, {_ELSE}"

    @model_validator(mode="after")
    def _workers_can_share(self) -> Self:
        problems: list[tuple[Loc, str]] = []
        if self.workers != 1 and self.store.get_secret_value().startswith("memory:"):
            text = "each would have a memory of its own: set store to a Redis, or workers to 1"
            problems.append((("workers",), text))
        if self.workers != 1 and self.listen.startswith("unix:"):
            text = (
                "cannot share a Unix socket: listen on an address and a port, or set workers to 1"
            )
            problems.append((("workers",), text))
        if problems:
            raise wrong(problems)
        return self

    @model_validator(mode="after")
    def _tls_is_whole(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key go together")
        if self.tls_client_ca and not self.tls_certificate:
            raise ValueError("tls_client_ca needs tls_certificate and tls_key")
        return self


def differing(one: Settings, other: Settings) -> list[str]:
    """The names of the settings in which two differ, in the order of the fields."""
    return [name for name in Settings.model_fields if getattr(one, name) != getattr(other, name)]


def require_callers(before: Settings, after: Settings) -> None:
    """Raise ValueError if a running server would be open to everyone, and was not before."""
    if (before.principals or before.issuers) and not (after.principals or after.issuers):
        # It could be a file that somebody has just emptied.
        raise ValueError("principals: cannot end up empty, for everyone, without a restart")


def _read(settings: type[BaseSettings], file: Path) -> TomlConfigSettingsSource:
    try:
        file.open().close()  # the source would take a missing file for an empty one
        return TomlConfigSettingsSource(settings, file)
    except OSError as error:
        raise ValueError(f"{file}: {error.strerror}") from None
    except UnicodeError:
        raise ValueError(f"{file}: is not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{file}: is not TOML{_position(error)}") from None


def _position(error: tomllib.TOMLDecodeError) -> str:
    """The position of a TOML error. Its reason is left out: it may quote the file."""
    found = re.search(r"\(at ([^()]+)\)$", str(error))
    return f" at {found[1]}" if found else ""


def load(
    file: Path | None, flags: PydanticBaseSettingsSource | None = None, **values: Any
) -> Settings:
    """Load settings from values, flags, the environment and a TOML file, in this order.

    Raises pydantic's ValidationError, which names the field but not its value, and
    ValueError if the file cannot be read.
    """

    class Loaded(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            del dotenv_settings, file_secret_settings
            in_file = _read(settings_cls, file) if file else None
            sources = (init_settings, flags, env_settings, in_file)
            return tuple(source for source in sources if source)

    return Loaded(**values)

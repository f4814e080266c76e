"""A running server: its port, services, health, and graceful shutdown."""

import asyncio
import errno
import socket
from typing import Any, Self

from grpc import aio
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from relevo_server import audit, tls
from relevo_server.health import NAME as NAME_OF_HEALTH
from relevo_server.health import Health
from relevo_server.logs import log
from relevo_server.schemas import read as read_schemas
from relevo_server.service import channelz
from relevo_server.service.accepting import accepting_server, discard
from relevo_server.service.admin.service import SERVICE as ADMIN
from relevo_server.service.admin.service import Admin
from relevo_server.service.gate import GatedRegistry
from relevo_server.service.store import FREQUENT, SERVICE, ContextStore
from relevo_server.service.strangers import OpenRegistry
from relevo_server.settings import Settings, differing, require_callers
from relevo_server.storage import Storage, open_storage
from relevo_server.storage.inspection import Usage
from relevo_server.telemetry import instruments, process
from relevo_server.telemetry.telemetry import NOTHING, Telemetry
from relevo_server.workers import ALONE, Worker

RELOADED = frozenset(
    {
        "principals",
        "quotas",
        "issuers",
        "schemas",
        "tls_certificate",
        "tls_key",
        "tls_client_ca",
        "log_level",
        "reload_interval",
    }
)
"""The settings that `Server.reload` takes over. Logs are the process's, so it sets the level."""
_PENDING = 5000
"""Calls of one method that gRPC has received and the server has not begun. gRPC cancels some beyond
its default of 1,000, whoever's they are and without a word."""
_QUIET = 0.05
"""Seconds without a call after which a server that stops takes it that none is on its way."""
_REVIEW = 0.5
"""Seconds after which a stream may end later than its token, at most."""


class Server:
    """A ContextStore server with health and reflection, used with `async with`.

    Starting raises `LayoutError` if the store was set up with other settings, and OSError
    if the port is not available. The server starts even if the store cannot be reached:
    until it can, calls end with UNAVAILABLE. `storage` replaces the storage of the
    settings; the server closes it. `telemetry` has the instruments that it records to, and
    `worker` is which of the processes this is that share the port.
    """

    def __init__(
        self,
        settings: Settings,
        storage: Storage | None = None,
        telemetry: Telemetry = NOTHING,
        worker: Worker = ALONE,
    ) -> None:
        self._settings = settings
        self._worker = worker
        self._storage = storage or storage_of(settings, telemetry)
        self._health = Health(self._storage, settings.health_interval, SERVICE)
        self._telemetry = telemetry
        self._trail = audit.opened(settings, telemetry)
        self._service = ContextStore(self._storage, settings, self._trail, worker)
        self._access = self._service.parts.access
        self._admin = Admin(self._service.parts)
        self._certificates: tls.Certificates | None = None
        self._usage = Usage()
        self._sampling: asyncio.Task[None] | None = None
        self.address = ""
        """The address that the server listens on, as host:port; "" until it has started."""

    async def __aenter__(self) -> Self:
        """Start the server: check the store, set health, open the port."""
        try:
            self._trail.start()
            await self._access.begin()
            await self._health.begin()
            self._server = await self._started()
        except BaseException:
            await self._storage.close()
            await self._trail.close()
            raise
        self._checks = asyncio.create_task(self._health.follow_store())
        interval = min(_REVIEW, self._settings.health_interval)
        self._reviews = asyncio.create_task(self._access.follow(interval))
        self._recounting = asyncio.create_task(self._service.recount_regularly())
        if self._telemetry.meter:
            self._sampling = asyncio.create_task(self._sample_regularly())
            instruments.observe(self._telemetry.meter, self._figures())
        log.info("server.started", address=self.address, store=_without_secrets(self._settings))
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop the server: health first, then calls within `grace` seconds, then the store."""
        self._checks.cancel()
        self._reviews.cancel()
        self._recounting.cancel()
        if self._sampling:
            self._sampling.cancel()
        await self._health.end()
        # The sooner a worker gives up the port that others have too, the fewer calls come to it: a
        # client repeats a refused call twice within some 0.2 s, and has to find another worker.
        within = min(0.5 if self._worker.of == 1 else _QUIET, self._settings.grace)
        await asyncio.gather(
            *(each.refuse(quiet=_QUIET, within=within) for each in (self._service, self._admin))
        )
        await self._server.stop(self._settings.grace)
        await self._service.close()
        await self._storage.close()
        await self._trail.close()
        log.info("server.stopped")

    async def reload(self, settings: Settings) -> list[str]:
        """Take over what can change while a server runs: `RELOADED`.

        Calls go on. Streams go on if their right still holds; the others end. Returns the names of
        other settings that differ: these need a restart. Raises ValueError if something cannot be
        used; then nothing has changed.
        """
        before = self._settings
        require_callers(before, settings)
        files = tls.files_of(settings)
        new = differing(before, settings)
        restart = [name for name in new if name not in RELOADED]
        known = self._certificates.files if self._certificates else None
        if bool(files) != bool(known):
            restart.append("tls_certificate")
        elif files and known and bool(files.client_ca) != bool(known.client_ca):
            restart.append("tls_client_ca")
        schemas = await asyncio.to_thread(read_schemas, settings.schemas)
        await self._access.reload(settings.principals, settings.issuers)
        self._service.update_quotas(settings.quotas)
        self._service.update_schemas(schemas)
        if files and self._certificates and "tls_client_ca" not in restart:
            self._certificates.replace(files)
        kept = {name: getattr(before, name) for name in set(restart) - RELOADED}
        self._settings = settings.model_copy(update=kept)
        self._trail.reloaded(new)
        return restart

    def refuse_reload(self, problems: str) -> None:
        """Record in the audit that new settings cannot be used. `problems` quotes no values."""
        self._trail.reloaded((), problems)

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set. Raises LayoutError if the store's layout changes."""
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({stopped, self._checks}, return_when=asyncio.FIRST_COMPLETED)
        if not stopped.done():
            stopped.cancel()
            await self._checks
        log.info("server.stopping", grace=self._settings.grace)

    async def _started(self) -> aio.Server:
        """A server of gRPC with all services, which listens on `address`."""
        server = self._registered()
        try:
            self.address = self._bind(server)
            await server.start()
        except BaseException:
            await discard(server)
            raise
        return server

    def _registered(self) -> aio.Server:
        """A server of gRPC with all services, which has not been started."""
        settings = self._settings
        server = accepting_server(_options(settings), FREQUENT)
        gated = GatedRegistry(server, self._access, self._telemetry, self._trail)
        self._service.add_to(gated)
        self._admin.add_to(gated)
        registry = OpenRegistry(server)
        self._health.add_to(registry)
        names = [SERVICE, ADMIN, NAME_OF_HEALTH, reflection.SERVICE_NAME]
        if settings.channelz:
            channelz.add_to(server, self._access, self._trail)
            names.append(channelz.NAME)
        if settings.reflection:
            servicer = reflection.aio.ReflectionServicer(names)
            untyped: Any = reflection_pb2_grpc
            untyped.add_ServerReflectionServicer_to_server(servicer, registry)
        return server

    def _bind(self, server: aio.Server) -> str:
        listen = self._settings.listen
        if not (self._settings.reuse_port or listen.startswith("unix:")):
            _require_free(listen)
        try:
            files = tls.files_of(self._settings)
            if files:
                self._certificates = tls.Certificates(files)
                port = server.add_secure_port(listen, self._certificates.credentials())
            else:
                port = server.add_insecure_port(listen)
        except RuntimeError as error:
            raise OSError(f"cannot listen on {listen}") from error
        return listen if listen.startswith("unix:") else f"{listen.rpartition(':')[0]}:{port}"

    async def _sample_regularly(self) -> None:
        """Sample the store's usage. A collection of metrics asks the store nothing."""
        while True:
            self._usage = await self._storage.inspection.usage()
            await asyncio.sleep(self._settings.health_interval)

    def _figures(self) -> dict[str, instruments.Read]:
        """The functions that read the values of the instruments, by the instruments' names."""
        return {
            **self._service.figures(),
            **process.READ,
            "relevo.server.workers": lambda: 1,
            "relevo.server.worker.restarts": lambda: 0,
            "relevo.server.audit.records": lambda: self._trail.counts,
            "relevo.server.audit.dropped": lambda: self._trail.dropped,
            "relevo.server.store.available": lambda: int(self._health.store_available is True),
            "relevo.server.store.log.length": lambda: self._usage.log_length,
            "relevo.server.store.entries": lambda: self._usage.entries,
            "relevo.server.store.size": lambda: self._usage.size,
            "relevo.server.store.max_size": lambda: self._usage.max_size,
        }


def _require_free(listen: str) -> None:
    """Raise OSError if an address is taken.

    gRPC accepts a name if it can bind one of its addresses; two servers could then share
    `localhost` unnoticed.
    """
    host, _, port = listen.rpartition(":")
    if port == "0":
        return
    found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    for family, kind, protocol, _, address in found:
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                probe.bind(address)
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    raise OSError(f"cannot listen on {listen}: the port is taken") from None


def storage_of(settings: Settings, telemetry: Telemetry = NOTHING) -> Storage:
    """The storage of the settings; nothing is sent yet. Raises ValueError for a malformed URL."""
    return open_storage(
        settings.store.get_secret_value(),
        partitions=settings.partitions,
        prefix=settings.store_prefix,
        timeout=settings.store_timeout,
        max_connections=settings.store_connections,
        log_length=settings.log_length,
        request_ttl=settings.request_id_ttl,
        longest_ttl=settings.ttl.maximum,
        recent_bytes=settings.recent_max_bytes,
        telemetry=telemetry,
        encryption=settings.encryption,
    )


def _options(settings: Settings) -> list[tuple[str, int]]:
    age = settings.max_connection_age
    return [
        ("grpc.so_reuseport", int(settings.reuse_port)),
        ("grpc.max_concurrent_streams", settings.max_connection_streams),
        ("grpc.server.max_pending_requests", _PENDING),
        ("grpc.server.max_pending_requests_hard_limit", _PENDING),
        # Large enough to receive a context over the limit, so that the server can refuse it.
        ("grpc.max_receive_message_length", max(4 << 20, 2 * settings.max_context_bytes)),
        # Clients ping idle connections to detect silent peers; see docs/operations.md.
        ("grpc.http2.min_ping_interval_without_data_ms", 5000),
        ("grpc.keepalive_permit_without_calls", 1),
        *((("grpc.max_connection_age_ms", _milliseconds(age)),) if age else ()),
        *((("grpc.max_connection_age_grace_ms", _milliseconds(settings.grace)),) if age else ()),
    ]


def _milliseconds(seconds: float) -> int:
    """A time for gRPC, whose times are 32 bits."""
    return min(round(seconds * 1000), (1 << 31) - 1)


def _without_secrets(settings: Settings) -> str:
    scheme, _, rest = settings.store.get_secret_value().partition("://")
    return f"{scheme}://{rest.partition('?')[0].rpartition('@')[2]}"

"""Finds what is wrong with a server's settings and its store before, or while, servers run."""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from http.client import HTTPException
from pathlib import Path

from relevo_server import tls
from relevo_server.addresses import is_local
from relevo_server.errors import StoreError
from relevo_server.findings import Finding
from relevo_server.identities import Issuer
from relevo_server.logs import cause_of
from relevo_server.schemas import read
from relevo_server.settings import Settings
from relevo_server.storage import LayoutError, MissingRightsError, Storage
from relevo_server.storage.inspection import (
    EVICTION_ADVICE,
    DatabaseStatus,
    may_evict_logs,
    rights_advice,
)

MAX_CLOCK_OFFSET = 1.0
"""Seconds by which the database's clock may differ from this host's."""
_MAX_ID = 64
"""Characters of a key's id that are shown."""
_LEAST = {"redis": (6, 2), "valkey": (7, 2)}
_LAYOUT_ADVICE = "set partitions to the store's number, and encryption to the store's key ring"


def of_settings(settings: Settings) -> Iterator[Finding]:
    """Check the TLS files, and the access to an address that other hosts can reach.

    The settings are valid each on their own.
    """
    try:
        has_tls = tls.files_of(settings) is not None
    except ValueError as error:
        yield Finding("tls", "wrong", str(error), "name PEM files that this user can read")
        return
    yield Finding("tls", "ok", "the port speaks TLS" if has_tls else "the port speaks no TLS")
    is_open = not is_local(settings.listen)
    known = len(settings.principals) + len(settings.issuers)
    if is_open and not known:
        yield Finding(
            "access",
            "warning",
            f"everyone who reaches {settings.listen} may do everything",
            "set principals, or listen on a loopback address",
        )
    elif is_open and not has_tls:
        yield Finding(
            "access",
            "warning",
            f"tokens travel unencrypted to {settings.listen}",
            "set tls_certificate and tls_key, unless something in front of it speaks TLS",
        )
    else:
        issuers = f", {len(settings.issuers)} issuers" if settings.issuers else ""
        yield Finding("access", "ok", f"{len(settings.principals)} principals{issuers}")


def of_issuers(issuers: Iterable[Issuer]) -> Iterator[Finding]:
    """Read the keys of issuers of JWTs, each from its file or URL.

    Raises ModuleNotFoundError without the extra `jwt`.
    """
    for issuer in issuers:
        # Without issuers, this does without the extra.
        from relevo_server.access import jwks  # noqa: PLC0415

        name = issuer.name
        try:
            keys = jwks.parse(jwks.read(issuer), issuer.algorithms)
        except (OSError, HTTPException, ValueError) as error:
            cause = str(error) if isinstance(error, ValueError) else cause_of(error)
            text = f"the keys of {name} cannot be used: {cause}"
            yield Finding("jwks", "wrong", text, "look at jwks of this issuer, and at its keys")
            continue
        ids = sorted({each.id[:_MAX_ID] for each in keys.by_name if each.id})
        named = f"has {len(ids)} keys: {', '.join(ids)}" if ids else "has a key without an id"
        yield Finding("jwks", "ok", f"{name} {named}")
        for each in keys.left_out:
            text = f"a key of {name} does not count: {each}"
            yield Finding("jwks", "warning", text, "see algorithms of this issuer")


def of_schemas(files: Mapping[str, Path]) -> Iterator[Finding]:
    """Read the schemas of scopes."""
    if not files:
        return
    try:
        read(files)
    except ValueError as error:
        for line in str(error).splitlines():
            yield Finding("schemas", "wrong", line, "see docs/typed-sections.md")
    else:
        yield Finding("schemas", "ok", f"of {', '.join(sorted(files))}")


async def of_store(storage: Storage) -> AsyncIterator[Finding]:
    """Check that the store answers, its layout, the user's rights and its database.

    If the store is new, this records its number of partitions, as a server does when it starts.
    """
    missing: Mapping[str, str] = {}
    try:
        await storage.check()
    except LayoutError as error:
        yield Finding("store", "wrong", str(error), _LAYOUT_ADVICE)
        return
    except StoreError as error:
        if isinstance(error.__cause__, MissingRightsError):
            missing = error.__cause__.refused
        else:
            cause = cause_of(error.__cause__) or error.reason.value
            yield Finding(
                *("store", "wrong", f"does not answer: {cause}"),
                "look at the URL, the network and Redis",
            )
            return
    kind = storage.inspection.kind
    yield Finding("store", "ok", f"{kind} answers, with {storage.partitions} partitions")
    if kind == "memory":
        return
    try:
        refused = {**missing, **await storage.inspection.refusals()}
    except StoreError as error:
        yield Finding(
            "rights", "wrong", f"{error.reason.value}: {error}", "look at Redis's own log"
        )
        return
    for command, text in refused.items():
        yield Finding("rights", "wrong", f"{command} is refused: {text}", rights_advice([command]))
    if not refused:
        yield Finding("rights", "ok", "every command that is needed may be run")
    for finding in of_database(await storage.inspection.database_status()):
        yield finding


def of_database(status: DatabaseStatus) -> Iterator[Finding]:
    """Check a database's version, eviction policy and clock."""
    name, _, version = status.version.partition(" ")
    least = _LEAST.get(name)
    if not status.version or "," in status.version or least is None:
        yield Finding(
            "version",
            "warning",
            f"unknown: {status.version}" if status.version else "is not reported",
            "allow INFO, and run one version of Redis 6.2 or Valkey 7.2, or newer",
        )
    elif _numbers(version) < least:
        needed = ".".join(map(str, least))
        yield Finding("version", "wrong", status.version, f"upgrade to {name} {needed} or newer")
    else:
        yield Finding("version", "ok", status.version)
    if not status.eviction_policy:
        yield Finding(
            "eviction", "warning", "the policy is not reported", "allow INFO or CONFIG GET"
        )
    elif may_evict_logs(status.eviction_policy):
        yield Finding(
            "eviction",
            "wrong",
            f"{status.eviction_policy} may take the logs and the order of revisions",
            EVICTION_ADVICE,
        )
    else:
        yield Finding("eviction", "ok", status.eviction_policy)
    if status.clock_offset is None:
        yield Finding("clock", "warning", "is not reported", "allow TIME")
    elif abs(status.clock_offset) > MAX_CLOCK_OFFSET:
        yield Finding(
            "clock",
            "wrong",
            f"differs by {status.clock_offset:+.1f} s from this host's",
            "run NTP on both: times in answers would be wrong, and revisions would jump",
        )
    else:
        yield Finding("clock", "ok", f"differs by {status.clock_offset * 1000:+.0f} ms")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())

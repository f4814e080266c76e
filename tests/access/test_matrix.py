"""What each call needs, for each way to name entries, as the table of the page says."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import chain, combinations
from pathlib import Path
from typing import NamedTuple

import grpc
import pytest
from grpc import aio
from relevo.v1.store_pb2 import Error
from relevo_server.identities import Principal
from relevo_server.roles import ROLES
from relevo_server.server import Server
from relevo_server.settings import Settings
from support.clients.access import bearer, principal
from support.clients.tokens import TokenIssuer
from support.clients.ways import LAYER, SCOPE, WAYS, RefusedError, Store, write_composed
from support.failures import Failure, failure_in
from support.network.certificates import Pair
from support.network.named import Authority, uri
from support.pages import DOCS

TOGETHER = 16
"""Calls that are under way at the same time."""
TENANT, OTHER_TENANT, OTHER_SCOPE = "acme", "globex", "tool_config"
SUBSETS = list(chain.from_iterable(combinations(ROLES, n) for n in range(len(ROLES) + 1)))


class Need(NamedTuple):
    """A row of the page's table."""

    call: str
    names: str
    roles: tuple[str, ...]

    @property
    def scope(self) -> str:
        """The scope that the roles are needed for, "" for all."""
        if self.names in ("a tenant", "all tenants"):
            return ""
        if "layers" in self.names:
            return LAYER
        return "snapshot" if "snapshot" in self.names else SCOPE

    @property
    def before(self) -> tuple[str, ...]:
        """The roles, with their scopes, that a caller must have beside the row's own."""
        is_part = "of a key's entry" in self.names
        match self.call:
            case "Explain" if is_part:
                return (f"read:{SCOPE}", f"admin:{SCOPE}")
            case "Snapshot":
                read = (f"read:{SCOPE}",) if is_part else ()
                return read if self.scope == "snapshot" else (*read, "write:snapshot")
            case _:
                return (f"read:{SCOPE}",) if is_part else ()

    def grants(self, roles: tuple[str, ...], scope: str) -> tuple[str, ...]:
        """Roles for a scope, as in the settings, and those for `before`; never none."""
        given = [f"{role}:{scope}" if scope else role for role in roles]
        return (*given, *self.before, f"read:{OTHER_SCOPE}-2")


def needs() -> list[Need]:
    """The rows of the table on the page."""
    page = (DOCS / "access.md").read_text("utf-8")
    table = page.partition("| call | how it names entries |")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in table.splitlines()[2:]]
    return [
        Need(call, names, () if roles == "none" else tuple(roles.split(", ")))
        for call, names, roles in rows
    ]


class Case(NamedTuple):
    """One caller of one row, and how its call ends."""

    need: Need
    tenants: tuple[str, ...]
    grants: tuple[str, ...]
    reason: str
    role: str = ""
    """The role that the error names."""

    @property
    def token(self) -> str:
        """A token for the caller: equal callers have the same."""
        return " ".join((*self.tenants, "may", *sorted(self.grants)))


def cases() -> Iterator[Case]:
    """Every row with every set of roles; with the roles elsewhere; and with another tenant."""
    for need in needs():
        for roles in SUBSETS:
            missing = [role for role in need.roles if role not in roles]
            tenants = ("*",) if need.names == "all tenants" else (TENANT,)
            reason = "ROLE_DENIED" if missing else ""
            yield Case(need, tenants, need.grants(roles, need.scope), reason, *missing[:1])
        if need.names == "nothing":
            yield Case(need, (OTHER_TENANT,), ROLES, "")
            continue
        yield Case(need, (OTHER_TENANT,), ROLES, "TENANT_DENIED" if need.roles else "")
        tenants = ("*",) if need.names == "all tenants" else (TENANT,)
        elsewhere = need.grants(ROLES, OTHER_SCOPE)
        yield Case(need, tenants, elsewhere, "ROLE_DENIED" if need.roles else "", *need.roles[:1])


CASES = list(cases())


async def refusal(call: Awaitable[object]) -> Failure | None:
    """The error of a call that is not allowed; None if it is, whatever comes of it."""
    try:
        await call
    except RefusedError as error:
        failure = error.failure
    except aio.AioRpcError as error:
        details = dict(error.trailing_metadata())["grpc-status-details-bin"]
        assert isinstance(details, bytes)
        failure = failure_in(Error.FromString(details))
    else:
        return None
    return failure if failure.reason.endswith(("_DENIED", "UNAUTHENTICATED")) else None


CALLERS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    **{each.token: (each.tenants, each.grants) for each in CASES},
    "all": (("*",), ROLES),
}
"""The tenants and the roles of each caller of the matrix, and of one who may do everything."""
Opened = Callable[[str], Store]
"""Opens the store for one of the callers."""


@asynccontextmanager
async def by_token(settings: Settings) -> AsyncGenerator[Opened, None]:
    """Callers show bearer tokens, whose digests are in the settings."""
    known = [
        principal(token, *tenants, name=f"caller-{i}", roles=roles)
        for i, (token, (tenants, roles)) in enumerate(CALLERS.items())
    ]
    async with Server(settings.model_copy(update={"principals": tuple(known)})) as server:  # noqa: SIM117
        async with aio.insecure_channel(server.address) as channel:
            yield lambda caller: Store(channel, *bearer(caller))


@asynccontextmanager
async def by_jwt(settings: Settings, issuer: TokenIssuer) -> AsyncGenerator[Opened, None]:
    """Callers show JWTs, whose claims have the tenants and the roles."""
    tokens = {
        caller: issuer.token(relevo_tenants=list(tenants), relevo_roles=list(roles))
        for caller, (tenants, roles) in CALLERS.items()
    }
    known = {"issuers": (issuer.settings(roles=ROLES),)}
    async with Server(settings.model_copy(update=known)) as server:  # noqa: SIM117
        async with aio.insecure_channel(server.address) as channel:
            yield lambda caller: Store(channel, *bearer(tokens[caller]))


@asynccontextmanager
async def by_certificate(
    settings: Settings, signer: Authority, pair: Pair, tls: dict[str, Path]
) -> AsyncGenerator[Opened, None]:
    """Callers show certificates, whose names are in the settings."""
    names = {caller: f"spiffe://example/{i}" for i, caller in enumerate(CALLERS)}
    known = [
        Principal(name=names[caller], certificate=names[caller], tenants=tenants, roles=roles)
        for caller, (tenants, roles) in CALLERS.items()
    ]
    stores: dict[str, Store] = {}
    async with AsyncExitStack() as stack:
        update = {"principals": tuple(known), **tls}
        server = await stack.enter_async_context(Server(settings.model_copy(update=update)))
        for caller, name in names.items():
            own = signer.signed(*uri(name))
            credentials = grpc.ssl_channel_credentials(pair.certificate_pem, *own)
            channel = aio.secure_channel(server.address, credentials)
            stores[caller] = Store(await stack.enter_async_context(channel))
        yield stores.__getitem__


@pytest.fixture
async def opened(
    way: str,
    settings: Settings,
    issuer: TokenIssuer,
    signer: Authority,
    pair: Pair,
    tls: dict[str, Path],
) -> AsyncIterator[Opened]:
    """A store that knows all callers, by one way to show who calls."""
    match way:
        case "token":
            opening = by_token(settings)
        case "jwt":
            opening = by_jwt(settings, issuer)
        case _:
            opening = by_certificate(settings, signer, pair, tls)
    async with opening as opened:
        yield opened


@pytest.mark.parametrize("way", ["token", "jwt", "certificate"])
async def test_the_matrix(opened: Opened) -> None:
    """Each call is answered to those whose roles the table names, and refused to all others.

    The error says what is missing: the tenant, or the role and its scope.
    """

    async def call(case: Case) -> Failure | None:
        way = WAYS[case.need.call, case.need.names]
        return await refusal(way(opened(case.token), TENANT))

    # Those that read layers come first: some of the others end the entry that has them.
    await write_composed(opened("all"), TENANT)
    found: list[tuple[Case, Failure | None]] = []
    for is_layered in (True, False):
        asked = [case for case in CASES if bool(case.need.before) == is_layered]
        for i in range(0, len(asked), TOGETHER):
            some = asked[i : i + TOGETHER]
            found += zip(some, await asyncio.gather(*map(call, some)), strict=True)
    assert len(found) == len(CASES)
    assert [each for each in found if not is_right(*each)] == []


def is_right(case: Case, failure: Failure | None) -> bool:
    """Whether a call ended as the case says."""
    if (failure.reason if failure else "") != case.reason:
        return False
    if failure is None or not case.role:
        return True
    # Who is no admin at all is refused unread, without a scope.
    scopes = ("",) if case.need.scope == "" else (case.need.scope, SCOPE, "")
    return failure.metadata["role"] == case.role and failure.metadata.get("scope", "") in scopes


def test_the_table_has_every_call() -> None:
    """The table has each way to call the store once, and no call is left out."""
    rows = [(need.call, need.names) for need in needs()]
    assert sorted(rows) == sorted(WAYS)
    assert {role for need in needs() for role in need.roles} == set(ROLES)

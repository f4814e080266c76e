"""Riders of calls: small snapshots that a service uses at once, without asking the store."""

from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from grpc import StatusCode, aio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from relevo_client import (
    AsyncContextClient,
    ContextClient,
    ContextEntry,
    ContextRef,
    ContextSource,
    ExecutionContext,
    Policy,
    aio_context_channel,
    aio_server_interceptor,
    context_headers,
    current_entry,
    require_entry,
    use_context,
)
from relevo_client._context import riders
from relevo_client._telemetry.counts import COUNTS
from relevo_client.testing import LocalStore
from support.clients.callers import calling
from support.clients.either import KEY, KINDS
from support.clients.riding import snapshot_of
from support.entries import entry_of
from support.network.ports import NOBODY
from support.servers.hosting import StoreClients, hosted
from support.servers.services import method_of, service
from support.servers.shapes import Behaviour, Kind
from support.strategies import mutated
from support.waiting import until_async

RIDER = "context-entry-bin"
WITHOUT_STORE: dict[str, Any] = {"timeout": 0.2}


@pytest.fixture
def snapshot() -> ContextEntry:
    """A snapshot whose Put has not reached any store."""
    return snapshot_of(entry_of("u-1", key=KEY, revision=7))


@pytest.fixture
async def storeless() -> AsyncIterator[StoreClients]:
    """Clients of a store that is not there."""
    target = f"127.0.0.1:{NOBODY}"
    async with AsyncContextClient(target, **WITHOUT_STORE) as client:
        with ContextClient(target, **WITHOUT_STORE) as blocking:
            yield StoreClients(blocking, client)


def line() -> bytes:
    """What a handler sees: the user, where the context is from, and the fence."""
    entry = current_entry()
    if entry is None:
        return b"nothing"
    return f"{entry.context.user_id} {entry.source} {entry.revision} {entry.is_stale}".encode()


def function(requests: Any, _: Any) -> bytes:
    """A plain handler with one answer."""
    if not isinstance(requests, bytes):
        list(requests)
    return line()


def generator(requests: Any, context: Any) -> Iterator[bytes]:
    """A plain handler with a stream of answers."""
    yield function(requests, context)


PLAIN: dict[str, Behaviour] = {
    "unary_unary": function,
    "unary_stream": generator,
    "stream_unary": function,
    "stream_stream": generator,
}


@pytest.mark.parametrize("wrapped", [False, True], ids=["interceptors", "wrapped"])
@pytest.mark.parametrize("arity", PLAIN)
@pytest.mark.parametrize("kind", KINDS)
async def test_no_store_is_needed(
    storeless: StoreClients, snapshot: ContextEntry, kind: Kind, arity: str, wrapped: bool
) -> None:
    """A service has the context of a rider at once, in every arity and kind, if the store is away.

    Its own fence is that of the reference, and it is not stale.
    """
    methods = {"Do": (arity, PLAIN[arity])}
    interceptor = storeless.interceptor(kind, trust_callers=True)
    async with (
        hosted(kind, methods, interceptors=[interceptor], threads=2) as host,
        calling(kind, host.address, wrapped=wrapped) as caller,
    ):
        with use_context(replace(snapshot, revision=9)):
            outcome = await caller.outcome(arity, caller.begin(arity))
        assert (outcome.code, outcome.items) == (StatusCode.OK, ["u-1 rider 9 False"])


@pytest.mark.parametrize("lazy", [False, True], ids=["resolves", "passes on"])
async def test_it_is_passed_on(storeless: StoreClients, snapshot: ContextEntry, lazy: bool) -> None:
    """A service passes the rider on as it came, also one that never resolves its context."""
    second = storeless.interceptor("asyncio", trust_callers=True)
    first = storeless.interceptor("asyncio", trust_callers=True, policy=Policy(lazy=lazy))
    came: list[object] = []

    async def handle(_: bytes, context: Any) -> bytes:
        came.append(dict(context.invocation_metadata())[RIDER])
        return line()

    async def pass_on(request: bytes, context: Any) -> bytes:
        came.append(dict(context.invocation_metadata())[RIDER])
        return await method_of(onwards)(request, timeout=10)

    async with (
        service({"Do": handle}, interceptors=[second]) as end,
        aio_context_channel(aio.insecure_channel(end)) as onwards,
        service({"Do": pass_on}, interceptors=[first]) as begin,
        aio_context_channel(aio.insecure_channel(begin)) as channel,
    ):
        with use_context(snapshot):
            answer = await method_of(channel)(b"", timeout=10)
    assert answer == b"u-1 rider 7 False"
    assert came == [riders.rider_of(snapshot)] * 2


async def ask(channel: aio.Channel, **options: Any) -> object:
    """The answer of the method, or how the call ends."""
    try:
        return (await method_of(channel)(b"", timeout=10, **options)).decode()
    except aio.AioRpcError as error:
        return error.code(), error.details()


async def handler(_: bytes, __: Any) -> bytes:
    """A handler that answers with what it sees."""
    return line()


def metadata_of(ref: ContextRef, *more: bytes) -> list[tuple[str, str | bytes]]:
    """A reference and riders as another language sends them."""
    pairs = [("context-key", ref.key.text), ("context-revision", str(ref.revision))]
    return [*pairs, *((RIDER, rider) for rider in more)]


def nobody(*_: object) -> bool:
    """Trusts and authorizes nobody."""
    return False


async def test_strangers_are_not_looked_at(
    storeless: StoreClients, snapshot: ContextEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rider of a caller that is not trusted, or not authorized, is ignored undecoded."""
    monkeypatch.setattr(riders, "verified", None)
    monkeypatch.setattr(riders, "_verify", None)
    rider = riders.rider_of(snapshot) or b""
    forbidden = (StatusCode.PERMISSION_DENIED, "the caller may not use this context")
    cases: list[tuple[dict[str, Any], object]] = [
        ({"trust_callers": False}, "nothing"),
        ({"trust_callers": nobody}, "nothing"),
        ({"trust_callers": True, "authorize": nobody}, forbidden),
    ]
    for rules, expected in cases:
        interceptor = storeless.interceptor("asyncio", **rules)
        async with (
            service({"Do": handler}, interceptors=[interceptor]) as address,
            aio.insecure_channel(address) as channel,
        ):
            assert await ask(channel, metadata=metadata_of(snapshot.ref, rider)) == expected


@pytest.fixture
async def client(store: LocalStore) -> AsyncIterator[AsyncContextClient]:
    """The client of a service."""
    async with AsyncContextClient(store.address, timeout=10) as client:
        yield client


@pytest.fixture
def store() -> Iterator[LocalStore]:
    """A store."""
    with LocalStore() as store:
        yield store


@pytest.fixture
async def channel(client: AsyncContextClient) -> AsyncIterator[aio.Channel]:
    """A wrapped channel to a service that trusts its callers."""
    interceptor = aio_server_interceptor(client, trust_callers=True)
    async with (
        service({"Do": handler}, interceptors=[interceptor]) as address,
        aio_context_channel(aio.insecure_channel(address)) as channel,
    ):
        yield channel


@pytest.fixture
def stored(store: LocalStore) -> ContextEntry:
    """A snapshot that the store has."""
    store.client.put(KEY, ExecutionContext(user_id="u-1"))
    return store.client.snapshot(store.client.resolve(KEY))


def refusals() -> dict[str, int]:
    """How many riders this process has refused, by the reason."""
    return {why.value: COUNTS.riders[why.value] for why in riders.Refused}


def other_snapshot() -> bytes:
    """The rider of another snapshot."""
    return riders.rider_of(snapshot_of(entry_of("u-2"))) or b""


def expired(entry: ContextEntry) -> bytes:
    """The rider of an entry after its time."""
    end = datetime.now(UTC) - timedelta(seconds=1)
    return riders.rider_of(replace(entry, expire_time=end)) or b""


Change = Callable[[ContextEntry, bytes], list[bytes]]
BAD_ONES: list[tuple[str | None, Change]] = [
    ("malformed", lambda _, rider: [rider[:-5]]),
    ("malformed", lambda _, __: [b"no rider"]),
    ("too_large", lambda _, __: [bytes(5000)]),
    ("other_reference", lambda _, __: [other_snapshot()]),
    ("expired", lambda entry, _: [expired(entry)]),
    (None, lambda _, rider: [rider, rider[:-1]]),
    (None, lambda _, __: []),
]


@pytest.mark.parametrize("why, change", BAD_ONES)
async def test_a_bad_one_costs_a_call_of_the_store(
    channel: aio.Channel,
    stored: ContextEntry,
    why: str | None,
    change: Change,
) -> None:
    """A rider that must not be used is counted, and the reference is resolved as ever."""
    before = refusals()
    rider = riders.rider_of(stored) or b""
    metadata = metadata_of(stored.ref, *change(stored, rider))
    assert await ask(channel, metadata=metadata) == f"u-1 store {stored.revision} False"
    raised = {name: number - before[name] for name, number in refusals().items()}
    assert {name for name, number in raised.items() if number} == ({why} if why else set())


async def test_two_equal_ones_are_one(channel: aio.Channel, stored: ContextEntry) -> None:
    """A rider that a proxy has repeated is used."""
    rider = riders.rider_of(stored) or b""
    answer = await ask(channel, metadata=metadata_of(stored.ref, rider, rider))
    assert answer == f"u-1 rider {stored.revision} False"


async def test_it_is_kept(
    channel: aio.Channel, client: AsyncContextClient, stored: ContextEntry
) -> None:
    """Later calls find it in the near cache, with the reference alone."""
    with use_context(stored):
        assert await ask(channel) == f"u-1 rider {stored.revision} False"
    await until_async(lambda: client.peek(stored.ref) is not None)
    answer = await ask(channel, metadata=metadata_of(stored.ref))
    assert answer == f"u-1 near_cache {stored.revision} False"
    assert client.cache_counts.misses == 0, "nobody asked the store"


async def test_it_ends_with_its_snapshot(
    store: LocalStore, channel: aio.Channel, client: AsyncContextClient, stored: ContextEntry
) -> None:
    """Once an invalidation has reached the service, the same rider does not serve again."""
    with use_context(stored):
        assert await ask(channel) == f"u-1 rider {stored.revision} False"
        await until_async(lambda: client.peek(stored.ref) is not None)
        store.client.invalidate_tenant(KEY.tenant_id)
        await until_async(lambda: client.peek(stored.ref) is None)
        gone = (StatusCode.FAILED_PRECONDITION, "the call's context does not exist")
        assert await ask(channel) == gone


async def test_its_put_may_come_later(
    store: LocalStore, channel: aio.Channel, client: AsyncContextClient
) -> None:
    """A rider serves while the store does not have the snapshot; once it does, it is a hit."""
    store.client.put(KEY, ExecutionContext(user_id="u-1"))
    resolved = store.client.resolve(KEY)
    early = snapshot_of(resolved)
    with use_context(early):
        for _ in range(3):
            assert await ask(channel) == f"u-1 rider {early.revision} False"
        await until_async(lambda: client.age(early) is not None)  # the store said: not there
        assert await ask(channel) == f"u-1 rider {early.revision} False"
        assert store.client.snapshot(resolved).key == early.key
        await until_async(lambda: client.peek(early.ref) is not None)
        assert await ask(channel) == f"u-1 near_cache {client.peek(early.ref).revision} False"  # type: ignore[union-attr]


async def test_no_room(channel: aio.Channel, stored: ContextEntry) -> None:
    """A call whose own metadata leaves no room goes without its rider."""
    sent, none = COUNTS.riders["sent"], COUNTS.riders["no_room"]
    with use_context(stored):
        answer = await ask(channel, metadata=(("x-large", "x" * 6500),))
    assert answer == f"u-1 store {stored.revision} False"
    assert (COUNTS.riders["sent"], COUNTS.riders["no_room"]) == (sent, none + 1)


async def test_the_largest_rider_passes(storeless: StoreClients) -> None:
    """A rider of 4 KiB, the longest reference and metadata that leaves room are accepted."""
    key = replace(KEY, id="x" * 200, tenant_id="t" * 200)
    large = None
    for length in range(2600, 3600, 8):
        prompt = "".join(chr(32 + (i * i * 7919 + i * 104_729) % 90) for i in range(length))
        context = ExecutionContext(user_id="u-1", llm_config={"prompt": prompt})
        entry = snapshot_of(replace(entry_of("u-1", key=key), context=context))
        if riders.rider_of(entry) is None:
            break
        large = entry
    assert large
    rider = riders.rider_of(large)
    assert rider
    interceptor = storeless.interceptor("asyncio", trust_callers=True)
    async with (
        service({"Do": handler}, interceptors=[interceptor]) as address,
        aio_context_channel(aio.insecure_channel(address)) as channel,
    ):
        with use_context(large):
            for i in range(200):
                own = (("x-own", "y" * 1000), ("x-number", str(i)))
                assert await ask(channel, metadata=own) == "u-1 rider 1 False"


async def test_an_explicit_reference_has_no_rider(
    channel: aio.Channel, stored: ContextEntry, store: LocalStore
) -> None:
    """A call that names its context itself carries nothing of the current one."""
    other = store.client.put(replace(KEY, id="c-2"), ExecutionContext(user_id="u-2"))
    with use_context(stored):
        answer = await ask(channel, metadata=metadata_of(other))
    assert answer == f"u-2 store {other.revision} False"


def test_headers(snapshot: ContextEntry) -> None:
    """`context_headers()` has the rider in base64."""
    with use_context(snapshot):
        headers = context_headers()
    assert {*headers} == {"context-key", "context-revision", RIDER}
    assert b64decode(headers[RIDER]) == riders.rider_of(snapshot)


async def test_a_signature_vouches_for_what_the_name_covers(tmp_path: Path) -> None:
    """A service that knows no caller takes the rider of a signed reference.

    Only what the name covers counts, and nothing of it is kept: not the times, and no version.
    """
    keys = tmp_path / "keys"
    keys.write_text(f"k {b64encode(b'k' * 32).decode()}")
    found: list[ContextEntry] = []

    async def keep(_: bytes, __: Any) -> bytes:
        found.append(require_entry())
        return b""

    with LocalStore(reference_keys=keys) as store:
        store.client.put(KEY, ExecutionContext(user_id="u-1"))
        stored = store.client.snapshot(store.client.resolve(KEY))
        target = f"127.0.0.1:{NOBODY}"
        async with AsyncContextClient(target, reference_keys=keys, **WITHOUT_STORE) as client:
            interceptor = aio_server_interceptor(client, trust_callers="signed")
            async with (
                service({"Do": keep}, interceptors=[interceptor]) as address,
                aio_context_channel(aio.insecure_channel(address)) as channel,
            ):
                with use_context(stored):
                    assert await ask(channel) == ""
                with use_context(replace(stored, signature="")):
                    forbidden = (
                        StatusCode.PERMISSION_DENIED,
                        "the caller may not use this context",
                    )
                    assert await ask(channel) == forbidden
            assert client.last_known(stored.ref) is None
    (entry,) = found
    assert (entry.source, entry.context.user_id) == (ContextSource.RIDER, "u-1")
    assert (entry.version, entry.context.created_at) == (0, None)
    assert entry.signature == stored.signature


async def attack(address: str, data: st.DataObject, count: int) -> None:
    """Send mutated riders: each is used as it was, or the call ends as without it."""
    snapshot = snapshot_of(entry_of("u-1", key=KEY, revision=7))
    rider = riders.rider_of(snapshot) or b""
    async with aio.insecure_channel(address) as channel:
        for _ in range(count):
            metadata = metadata_of(ContextRef(snapshot.key), mutated(rider, data))
            assert await ask(channel, metadata=metadata) in (
                "u-1 rider 0 False",
                (StatusCode.FAILED_PRECONDITION, "the call's context does not exist"),
            )


@pytest.fixture
async def target(client: AsyncContextClient) -> AsyncIterator[str]:
    """A service that trusts its callers, and whose store does not have the snapshot."""
    interceptor = aio_server_interceptor(client, trust_callers=True)
    async with service({"Do": handler}, interceptors=[interceptor]) as address:
        yield address


_SLOW = (HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large)
on_one_server = settings(deadline=None, suppress_health_check=_SLOW)


@settings(on_one_server, max_examples=10)
@given(st.data())
async def test_attacks(target: str, data: st.DataObject) -> None:
    """Whatever a rider holds, the call is answered, or ends as without the rider."""
    await attack(target, data, 20)


@pytest.mark.long
@settings(on_one_server, max_examples=200)
@given(st.data())
async def test_ten_thousand_attacks(target: str, data: st.DataObject) -> None:
    """The same 10,000 times."""
    await attack(target, data, 50)

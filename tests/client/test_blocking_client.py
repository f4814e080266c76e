"""ContextClient has the behaviour of AsyncContextClient; the parametrized cases are for both."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from time import monotonic
from typing import Any

import pytest
from relevo_client import (
    AsyncContextClient,
    ConflictError,
    ContextClient,
    ContextEntry,
    ContextKey,
    ContextRef,
    ExecutionContext,
    IncompleteContextError,
    InvalidFieldError,
    NotFoundError,
    RelevoError,
    StoreBehindError,
    TooLargeError,
    UnavailableError,
)
from relevo_client.testing import LocalStore
from support.clients.either import KEY, KINDS, METHODS, Ask, opened
from support.servers.services import Method, service
from support.servers.shapes import Kind

STORE = "relevo.v1.ContextStore"
AGENT = ContextKey("agent_config", "acme", "support")
NOWHERE = ContextKey("agent_config", "acme", "nowhere")
FAR = 1 << 62  # a revision that no store has reached

each_kind = pytest.mark.parametrize("kind", KINDS)


each_method = pytest.mark.parametrize("method", METHODS)


@pytest.fixture
def store() -> Iterator[LocalStore]:
    """A store whose BatchGet answers have at most 10,000 bytes."""
    with LocalStore(max_batch_bytes=10_000) as store:
        yield store


@pytest.fixture
def client(store: LocalStore) -> Iterator[ContextClient]:
    """A client of the store."""
    with ContextClient(store.address, timeout=10) as client:
        yield client


@pytest.fixture
async def silent() -> AsyncIterator[str]:
    """The address of a store that never answers."""

    async def wait(_: bytes, __: Any) -> bytes:
        await asyncio.Event().wait()
        return b""

    methods: dict[str, Method] = dict.fromkeys(
        ("Get", "BatchGet", "Put", "Invalidate", "Lease"), wait
    )
    async with service(methods, name=STORE) as address:
        yield address


def users(results: list[ContextEntry | RelevoError]) -> list[str]:
    """The user of each entry in a batch, or the reason of its error."""
    return [
        result.reason if isinstance(result, RelevoError) else result.context.user_id
        for result in results
    ]


def test_both_clients_have_the_same_methods() -> None:
    """Both clients have the same methods with the same arguments, and all are tested for both."""

    def methods(kind: type) -> dict[str, list[tuple[Any, ...]]]:
        return {
            name: [(p.name, p.kind, p.default) for p in inspect.signature(it).parameters.values()]
            for name, it in inspect.getmembers(kind, inspect.isfunction)
            if name == "__init__" or not name.startswith("_")
        }

    assert methods(ContextClient) == methods(AsyncContextClient)
    assert set(methods(ContextClient)) == {
        *METHODS,
        "peek",
        "age",
        "last_known",
        "close",
        "take_rider",
        "turn",
        "__init__",
    }


def test_get_answers_what_was_put(client: ContextClient) -> None:
    """`get` returns an entry with key, version and time to live, as of a revision for fences."""
    ref = client.put(KEY, ExecutionContext(user_id="u"), ttl=90)
    entry = client.get(KEY, min_revision=ref.revision)
    assert ref == ContextRef(KEY, entry.version)
    assert (entry.key, entry.context.user_id) == (KEY, "u")
    assert entry.ttl == timedelta(seconds=90)


def test_put_on_conditions(client: ContextClient) -> None:
    """`if_absent` and `if_version` hold, and a conflict has the current version."""
    first = client.put(KEY, ExecutionContext(user_id="u1"), if_absent=True)
    second = client.put(KEY, ExecutionContext(user_id="u2"), if_version=first.revision)
    with pytest.raises(ConflictError) as caught:
        client.put(KEY, ExecutionContext(user_id="u3"), if_version=first.revision)
    assert caught.value.current_version == second.revision
    assert client.get(KEY).context.user_id == "u2"


def test_batch_get(client: ContextClient) -> None:
    """`batch_get` returns the results of any number of keys in order, from several answers too."""
    keys = [ContextKey("conversation", "acme", f"c-{i}") for i in range(250)]
    for i in range(0, 250, 10):
        client.put(keys[i], ExecutionContext(user_id=f"u{i}", metadata={"x": "x" * 900}))
    found = client.batch_get([*keys, keys[0]])
    expected = [f"u{i}" if i % 10 == 0 else "NO_ENTRY" for i in range(250)]
    assert users(found) == [*expected, "u0"]
    assert client.batch_get([]) == []


def test_update(client: ContextClient) -> None:
    """`update` writes and clears parts, restarts the time to live, and keeps all other parts."""
    client.put(KEY, ExecutionContext(user_id="u", llm_config={"model": "m1", "top_p": 1}))
    version = client.get(KEY).version
    ref = client.update(KEY, {"llm_config": {"model": "m2"}}, ttl=90, if_version=version)
    client.update(KEY, clear=["user_id"], ttl=90)
    entry = client.get(KEY)
    assert entry.version > ref.revision > version
    assert (entry.context.user_id, entry.ttl.total_seconds()) == ("", 90)
    assert entry.context.llm_config == {"model": "m2", "top_p": 1}
    with pytest.raises(ConflictError):
        client.update(KEY, {"user_id": "u"}, if_version=version)


def test_invalidate(client: ContextClient) -> None:
    """`invalidate` ends entries, returns how many were alive, and takes a later revision."""
    ref = client.put(KEY, ExecutionContext())
    done = client.invalidate(KEY, NOWHERE)
    assert done.count == 1
    assert done.revision > ref.revision
    with pytest.raises(NotFoundError):
        client.get(KEY)


def test_invalidate_tenant(client: ContextClient) -> None:
    """`invalidate_tenant` ends only a tenant's entries, or only those of one of its scopes."""
    everyone = [KEY, AGENT, ContextKey("conversation", "globex", "c-1")]
    for key in everyone:
        client.put(key, ExecutionContext(user_id="u"))
    done = client.invalidate_tenant("acme", scope="agent_config")
    assert done.count is None
    assert users(client.batch_get(everyone)) == ["u", "NO_ENTRY", "u"]
    assert client.invalidate_tenant("acme").revision > done.revision
    assert users(client.batch_get(everyone)) == ["NO_ENTRY", "NO_ENTRY", "u"]


def test_resolve(client: ContextClient) -> None:
    """`resolve` composes an entry over its layers, by key and by a reference."""
    client.put(AGENT, ExecutionContext(llm_config={"model": "m1", "top_p": 1}))
    client.put(KEY, ExecutionContext(includes=(AGENT,), llm_config={"top_p": 2}))
    ref = client.update(AGENT, {"llm_config": {"model": "m2"}})
    for target in (KEY, ContextRef(KEY, ref.revision)):
        entry = client.resolve(target)
        assert entry.revision >= ref.revision
        assert entry.context.llm_config == {"model": "m2", "top_p": 2}
        assert [layer.key for layer in entry.layers] == [AGENT]
    assert client.get(KEY).context.llm_config == {"top_p": 2}


def context_of(size: int) -> ExecutionContext:
    """A context of about this many bytes."""
    return ExecutionContext(metadata={"x": "x" * size})


FAILURES: list[tuple[type[RelevoError], str, Ask]] = [
    (NotFoundError, "NO_ENTRY", lambda c: c.get(NOWHERE)),
    (NotFoundError, "NO_ENTRY", lambda c: c.resolve(NOWHERE)),
    (NotFoundError, "NO_ENTRY", lambda c: c.update(NOWHERE, {"user_id": "u"})),
    (StoreBehindError, "STORE_BEHIND", lambda c: c.get(KEY, min_revision=FAR)),
    (StoreBehindError, "STORE_BEHIND", lambda c: c.resolve(ContextRef(KEY, FAR))),
    (IncompleteContextError, "INCOMPLETE_CONTEXT", lambda c: c.resolve(KEY)),
    (ConflictError, "ENTRY_EXISTS", lambda c: c.put(KEY, ExecutionContext(), if_absent=True)),
    (ConflictError, "VERSION_MISMATCH", lambda c: c.put(KEY, ExecutionContext(), if_version=1)),
    (ConflictError, "VERSION_MISMATCH", lambda c: c.update(KEY, {"user_id": "u"}, if_version=1)),
    (TooLargeError, "CONTEXT_TOO_LARGE", lambda c: c.put(KEY, context_of(300_000))),
    (InvalidFieldError, "INVALID_FIELD", lambda c: c.get(KEY, min_revision=-1)),
    (InvalidFieldError, "INVALID_FIELD", lambda c: c.put(KEY, ExecutionContext(), ttl=1e300)),
    (InvalidFieldError, "INVALID_FIELD", lambda c: c.put(KEY, ExecutionContext(), ttl=-1)),
    (InvalidFieldError, "INVALID_FIELD", lambda c: c.put(KEY, ExecutionContext(tenant_id="x"))),
    (InvalidFieldError, "INVALID_FIELD", lambda c: c.update(KEY, {"usr_id": "u"})),
    (InvalidFieldError, "INVALID_FIELD", lambda c: c.update(KEY)),
    (InvalidFieldError, "INVALID_FIELD", lambda c: c.update(KEY, clear=["user_id.x"])),
    (InvalidFieldError, "INVALID_FIELD", lambda c: c.invalidate()),
    (InvalidFieldError, "INVALID_FIELD", lambda c: c.invalidate_tenant("")),
]


async def test_failures_are_the_same(store: LocalStore) -> None:
    """Each failure has one class, reason, text and metadata, with either client."""
    store.client.put(KEY, ExecutionContext(includes=(NOWHERE,)))
    for expected, reason, call in FAILURES:
        seen: list[tuple[object, ...]] = []
        for kind in KINDS:
            async with opened(kind, store.address, timeout=10) as either:
                error = await either.raised(call)
            assert (type(error), error.reason) == (expected, reason)
            seen.append((str(error), error.metadata, getattr(error, "violations", ())))
        assert seen[0] == seen[1]


@each_kind
@each_method
async def test_a_store_that_cannot_be_reached(kind: Kind, method: str) -> None:
    """If no server listens, UnavailableError is raised, and no factory is called."""
    async with opened(kind, "127.0.0.1:1") as either:
        error = await either.raised(METHODS[method])
    assert (type(error), error.reason) == (UnavailableError, "UNAVAILABLE")


@each_kind
@each_method
async def test_a_silent_store(silent: str, kind: Kind, method: str) -> None:
    """A call to a silent store raises UnavailableError at its timeout."""
    began = monotonic()
    async with opened(kind, silent, timeout=0.1) as either:
        error = await either.raised(METHODS[method])
    assert (type(error), error.reason) == (UnavailableError, "DEADLINE_EXCEEDED")
    assert monotonic() - began < 5


@each_kind
@pytest.mark.parametrize("timeout", [0.1, -1])
async def test_resolve_can_have_less_time(silent: str, kind: Kind, timeout: float) -> None:
    """`resolve` observes its own timeout if that is shorter than the client's."""
    async with opened(kind, silent, timeout=60) as either:
        error = await either.raised(lambda client: client.resolve(KEY, timeout=timeout))
    assert (type(error), error.reason) == (UnavailableError, "DEADLINE_EXCEEDED")


@each_kind
async def test_a_token_that_no_header_can_hold(store: LocalStore, kind: Kind) -> None:
    """A token with a line end, as from a file, is a RelevoError that does not contain the token."""
    with pytest.raises(RelevoError) as caught:
        async with opened(kind, store.address, token="sekret-7f3a\n") as either:  # noqa: S106
            await either.ask(METHODS["get"])
    assert "sekret" not in str(caught.value)

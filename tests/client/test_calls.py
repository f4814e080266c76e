"""The methods of AsyncContextClient against a real server, on both backends."""

from datetime import UTC, datetime, timedelta

import pytest
from relevo_client import (
    AsyncContextClient,
    ConflictError,
    ContextEntry,
    ContextKey,
    ContextRef,
    ExecutionContext,
    InvalidFieldError,
    NotFoundError,
    RelevoError,
    StoreBehindError,
    TooLargeError,
)
from relevo_server.server import Server
from support.servers.relay import Relay


def keys(count: int, *, tenant: str = "acme") -> list[ContextKey]:
    """Keys of one tenant."""
    return [ContextKey("conversation", tenant, f"c-{i}") for i in range(count)]


def users(results: list[ContextEntry | RelevoError]) -> list[str]:
    """The user of each entry in a batch, or the reason of its error."""
    return [
        result.reason if isinstance(result, RelevoError) else result.context.user_id
        for result in results
    ]


async def test_get_answers_what_was_put(client: AsyncContextClient, key: ContextKey) -> None:
    """`get` returns an entry with key, version, partition and remaining time."""
    ref = await client.put(key, ExecutionContext(user_id="u"))
    entry = await client.get(key)
    assert (entry.key, entry.version, entry.context.user_id) == (key, ref.revision, "u")
    assert ref == ContextRef(key, entry.version)
    assert entry.revision >= entry.version
    assert timedelta(minutes=29) < entry.ttl <= timedelta(minutes=30)
    assert abs(entry.expire_time - datetime.now(UTC) - entry.ttl) < timedelta(minutes=1)


async def test_get_of_nothing(client: AsyncContextClient, key: ContextKey) -> None:
    """`get` of a key without a live entry raises NotFoundError with the key's text."""
    with pytest.raises(NotFoundError) as caught:
        await client.get(key)
    assert (caught.value.reason, caught.value.metadata) == ("NO_ENTRY", {"key": key.text})


async def test_get_asks_for_a_revision(client: AsyncContextClient, key: ContextKey) -> None:
    """`get` answers as of `min_revision` or later, or raises StoreBehindError."""
    ref = await client.put(key, ExecutionContext())
    assert (await client.get(key, min_revision=ref.revision)).revision >= ref.revision
    with pytest.raises(StoreBehindError):
        await client.get(key, min_revision=ref.revision + 1)


async def test_batch_get_keeps_the_order(client: AsyncContextClient) -> None:
    """Each key has its own result or error, in the order of the keys, also of several tenants."""
    here, there = keys(3), keys(3, tenant="globex")
    for i, key in enumerate([here[0], here[2], there[1]]):
        await client.put(key, ExecutionContext(user_id=f"u{i}"))
    found = await client.batch_get([*there, *here, here[0]])
    assert users(found) == ["NO_ENTRY", "u2", "NO_ENTRY", "u0", "NO_ENTRY", "u1", "u0"]
    assert await client.batch_get([]) == []


async def test_batch_get_of_any_number(server: Server, client: AsyncContextClient) -> None:
    """More than 100 keys are requested 100 at a time."""
    many = keys(250)
    for i in range(0, 250, 7):
        await client.put(many[i], ExecutionContext(user_id=f"u{i}"))
    async with (
        Relay(server.address) as relay,
        AsyncContextClient(relay.address, timeout=10) as relayed,
    ):
        found = await relayed.batch_get(many)
        assert len(relay.of("BatchGet")) == 3
    assert users(found) == [f"u{i}" if i % 7 == 0 else "NO_ENTRY" for i in range(250)]


async def test_batch_get_beyond_an_answers_size(client: AsyncContextClient) -> None:
    """Keys that had no room in an answer (3 MiB) are requested again, until all have results."""
    many = keys(40)
    for i, key in enumerate(many):
        await client.put(key, ExecutionContext(user_id=f"u{i}", metadata={"x": "x" * 250_000}))
    found = await client.batch_get(many)
    assert users(found) == [f"u{i}" for i in range(40)]
    assert all(
        len(e.context.metadata["x"]) == 250_000 for e in found if isinstance(e, ContextEntry)
    )


@pytest.mark.parametrize("ttl", [90, 90.0, 89.9996, timedelta(seconds=90)], ids=repr)
async def test_put_with_a_ttl(
    client: AsyncContextClient, key: ContextKey, ttl: timedelta | float
) -> None:
    """A time to live is seconds or a timedelta; an update sets the given one, or its scope's."""
    await client.put(key, ExecutionContext(), ttl=ttl)
    assert timedelta(seconds=80) < (await client.get(key)).ttl <= timedelta(seconds=90)
    await client.update(key, {"user_id": "u"}, ttl=ttl)
    assert timedelta(seconds=80) < (await client.get(key)).ttl <= timedelta(seconds=90)
    await client.update(key, {"user_id": "u"})
    assert (await client.get(key)).ttl > timedelta(minutes=29)


@pytest.mark.parametrize(
    "ttl",
    [0, -1, 86_401, 1e12, 1e300, float("inf"), float("nan"), timedelta.max, timedelta(-1)],
    ids=repr,
)
async def test_impossible_ttls_are_refused(
    client: AsyncContextClient, key: ContextKey, ttl: timedelta | float
) -> None:
    """A time to live that no server grants raises InvalidFieldError for `ttl`."""
    with pytest.raises(InvalidFieldError) as caught:
        await client.put(key, ExecutionContext(), ttl=ttl)
    assert [field for field, _ in caught.value.violations] == ["ttl"]


async def test_put_over_a_version(client: AsyncContextClient, key: ContextKey) -> None:
    """`if_version` replaces only that version; ConflictError has the current one."""
    first = await client.put(key, ExecutionContext(user_id="u1"))
    second = await client.put(key, ExecutionContext(user_id="u2"), if_version=first.revision)
    assert second.revision > first.revision
    with pytest.raises(ConflictError) as caught:
        await client.put(key, ExecutionContext(user_id="u3"), if_version=first.revision)
    assert caught.value.reason == "VERSION_MISMATCH"
    assert caught.value.current_version == second.revision
    assert (await client.get(key)).context.user_id == "u2"


async def test_put_where_there_is_none(client: AsyncContextClient, key: ContextKey) -> None:
    """`if_absent` writes only if no live entry exists; ConflictError has that entry's version."""
    first = await client.put(key, ExecutionContext(user_id="u1"), if_absent=True)
    with pytest.raises(ConflictError) as caught:
        await client.put(key, ExecutionContext(user_id="u2"), if_absent=True)
    assert caught.value.reason == "ENTRY_EXISTS"
    assert caught.value.current_version == first.revision
    await client.invalidate(key)
    again = await client.put(key, ExecutionContext(user_id="u3"), if_absent=True)
    assert again.revision > first.revision


@pytest.mark.parametrize("version", [0, -1, 1 << 63, 1 << 64])
async def test_versions_that_cannot_be(
    client: AsyncContextClient, key: ContextKey, version: int
) -> None:
    """An impossible version is InvalidFieldError for `if_version`, in a Put and an update."""
    with pytest.raises(InvalidFieldError) as caught:
        await client.put(key, ExecutionContext(), if_version=version)
    assert [field for field, _ in caught.value.violations] == ["if_version"]
    with pytest.raises(InvalidFieldError) as caught:
        await client.update(key, {"user_id": "u"}, if_version=version)
    assert [field for field, _ in caught.value.violations] == ["if_version"]


@pytest.mark.parametrize("revision", [-1, 1 << 63])
async def test_revisions_that_cannot_be(
    client: AsyncContextClient, key: ContextKey, revision: int
) -> None:
    """An impossible revision is InvalidFieldError, in a Get and a reference."""
    with pytest.raises(InvalidFieldError, match="min_revision"):
        await client.get(key, min_revision=revision)
    with pytest.raises(InvalidFieldError, match="revision"):
        ContextRef(key, revision)


async def test_one_condition_at_a_time(client: AsyncContextClient, key: ContextKey) -> None:
    """A Put has at most one condition."""
    with pytest.raises(InvalidFieldError, match="if_absent"):
        await client.put(key, ExecutionContext(), if_version=7, if_absent=True)


async def test_the_tenant_is_the_keys(client: AsyncContextClient, key: ContextKey) -> None:
    """A context of another tenant is refused, and so are includes of another tenant."""
    with pytest.raises(InvalidFieldError) as caught:
        await client.put(
            key, ExecutionContext(tenant_id="globex", includes=(ContextKey("a", "globex", "x"),))
        )
    fields = [field for field, _ in caught.value.violations]
    assert fields == ["context.tenant_id", "context.includes[0].tenant_id"]


async def test_contexts_over_the_limit(client: AsyncContextClient, key: ContextKey) -> None:
    """A context over 256 KiB raises TooLargeError, and the stored entry stays."""
    await client.put(key, ExecutionContext(user_id="u"))
    with pytest.raises(TooLargeError) as caught:
        await client.put(key, ExecutionContext(metadata={"x": "x" * 262_144}))
    assert caught.value.reason == "CONTEXT_TOO_LARGE"
    assert caught.value.metadata["limit_bytes"] == "262144"
    assert (await client.get(key)).context.user_id == "u"


async def test_invalidate(client: AsyncContextClient) -> None:
    """`invalidate` ends entries, returns how many were alive, and takes a later revision."""
    some = keys(3)
    last = [await client.put(key, ExecutionContext()) for key in some][-1]
    nowhere = ContextKey("conversation", "acme", "nowhere")
    done = await client.invalidate(*some, nowhere)
    assert done.count == 3
    assert done.revision > last.revision
    assert users(await client.batch_get(some)) == ["NO_ENTRY"] * 3
    again = await client.invalidate(*some)
    assert (again.count, again.revision > done.revision) == (0, True)


async def test_invalidate_takes_1_to_100_keys_of_one_tenant(client: AsyncContextClient) -> None:
    """`invalidate` refuses no keys, more than 100 keys, and keys of two tenants."""
    for wrong in ([], keys(101), [*keys(1), *keys(1, tenant="globex")]):
        with pytest.raises(InvalidFieldError, match="keys"):
            await client.invalidate(*wrong)
    assert (await client.invalidate(*keys(100))).count == 0


async def test_invalidate_tenant(client: AsyncContextClient) -> None:
    """`invalidate_tenant` ends only a tenant's entries, or only those of one of its scopes."""
    agent = ContextKey("agent_config", "acme", "a")
    (here,), (there,) = keys(1), keys(1, tenant="globex")
    everyone = [here, agent, there]
    for key in everyone:
        await client.put(key, ExecutionContext(user_id="u"))
    done = await client.invalidate_tenant("acme", scope="agent_config")
    assert done.count is None
    assert users(await client.batch_get(everyone)) == ["u", "NO_ENTRY", "u"]
    again = await client.invalidate_tenant("acme")
    assert again.revision > done.revision
    assert users(await client.batch_get(everyone)) == ["NO_ENTRY", "NO_ENTRY", "u"]
    put = await client.put(agent, ExecutionContext(user_id="new"))
    assert put.revision > again.revision
    assert users(await client.batch_get(everyone)) == ["NO_ENTRY", "new", "u"]


async def test_invalidate_tenant_of_a_malformed_name(client: AsyncContextClient) -> None:
    """A malformed tenant or scope is InvalidFieldError with its path."""
    with pytest.raises(InvalidFieldError, match=r"tenant\.tenant_id"):
        await client.invalidate_tenant("")
    with pytest.raises(InvalidFieldError, match=r"tenant\.scope"):
        await client.invalidate_tenant("acme", scope="a\nb")

"""Versions and revisions: they only grow, and none repeats (S3)."""

from support.clients.calls import (
    Stub,
    get,
    invalidate,
    invalidate_tenant,
    is_alive,
    key,
    put,
    seconds,
)
from support.waiting import until_async


async def test_every_write_takes_a_greater_revision(stub: Stub) -> None:
    """All kinds of writes take growing revisions, also across ends, floors and new creations."""
    revisions = [
        (await put(stub, key())).revision,
        (await put(stub, key())).revision,
        (await invalidate(stub, key())).revision,
        (await put(stub, key())).revision,
        (await invalidate_tenant(stub, "acme")).revision,
        (await put(stub, key())).revision,
        (await invalidate_tenant(stub, "acme", "conversation")).revision,
        (await invalidate(stub, key())).revision,
        (await put(stub, key("c2"))).revision,
        (await put(stub, key())).revision,
    ]
    assert revisions == sorted(set(revisions))
    assert revisions[0] > 0


async def test_an_expired_entry_does_not_restart_its_versions(stub: Stub) -> None:
    """An entry that expired and was created again has a greater version than before."""
    before = (await put(stub, key(), ttl=seconds(0.02))).revision

    async def expired() -> bool:
        return not await is_alive(stub, key())

    await until_async(expired)
    assert (await put(stub, key())).revision > before


async def test_a_version_is_the_revision_of_the_last_write(stub: Stub) -> None:
    """Put's revision, its entry's version and the version that Get returns are the same number."""
    for _ in range(3):
        written = await put(stub, key())
        assert written.revision == written.entry.version
        assert (await get(stub, key())).entry.version == written.revision


async def test_an_answer_is_as_of_the_last_write_of_the_partition(stub: Stub) -> None:
    """Get's revision is that of the tenant's last write, of any kind."""
    version = (await put(stub, key())).revision
    for write in (put(stub, key("c2")), invalidate(stub, key("c3")), put(stub, key("c4"))):
        revision = (await write).revision
        answer = await get(stub, key())
        assert (answer.entry.version, answer.revision) == (version, revision)


async def test_put_answers_the_entry_without_its_context(stub: Stub) -> None:
    """Put's answer has key, version, partition and time to live, and no context."""
    entry = (await put(stub, key())).entry
    read = (await get(stub, key())).entry
    assert not entry.HasField("context")
    assert read.HasField("context")
    assert entry.key == read.key == key()
    assert (entry.version, entry.partition) == (read.version, read.partition)


async def test_invalidate_ends_entries_and_counts_the_living(stub: Stub) -> None:
    """Invalidate ends the named entries, counts those that were alive, and keeps all others."""
    for name in ("c1", "c2", "c3"):
        await put(stub, key(name))
    ended = await invalidate(stub, key("c1"), key("none"), key("c2"))
    assert ended.invalidated_count == 2
    assert [await is_alive(stub, key(name)) for name in ("c1", "c2", "c3")] == [False, False, True]
    again = await invalidate(stub, key("c1"), key("c2"))
    assert again.invalidated_count == 0
    assert again.revision > ended.revision


async def test_a_key_that_is_named_twice_counts_once(stub: Stub) -> None:
    """One Invalidate counts an entry once, even if it names the key twice."""
    await put(stub, key())
    assert (await invalidate(stub, key(), key())).invalidated_count == 1


async def test_a_tenant_is_ended_without_counting(stub: Stub) -> None:
    """A tenant's Invalidate ends it in one step, without a count, which is for keys only."""
    await put(stub, key())
    assert (await invalidate_tenant(stub, "acme")).invalidated_count == 0
    assert not await is_alive(stub, key())

"""Rules of riders in the near cache, each played once; any order of them is simulated elsewhere."""

from dataclasses import replace
from datetime import timedelta

import pytest
from relevo.v1.context_pb2 import ContextEntry as EntryMessage
from relevo.v1.store_pb2 import Invalidated, WatchResponse
from relevo_client import CacheOptions, ContextEntry, ContextKey, ContextRef, ContextSource
from relevo_client._context.codec import context_to_message
from relevo_client._context.riders import Rider
from relevo_client._near_cache import contexts
from relevo_client._near_cache.contexts import last_known, resolve
from relevo_client._near_cache.endings import Endings
from relevo_client._near_cache.riding import RiderCache
from support.clients.riding import snapshot_of
from support.clients.subscribing import subscribes
from support.entries import entry_of

NOW = 1e9
MADE = 7
"""The revision of what the snapshot was made from."""
PUT = 9
"""The version under which the store has the snapshot."""
SNAPSHOT = snapshot_of(entry_of("u-1", revision=MADE))
KEY = SNAPSHOT.key


def rider(version: int = 0, left: float = 60.0) -> Rider:
    """The rider of the snapshot; `version` is 0 if the caller does not know the store's."""
    return Rider(replace(SNAPSHOT, version=version), 100, left)


def following() -> RiderCache:
    """A cache with an open stream."""
    cache = RiderCache(CacheOptions())
    cache.opened(NOW)
    return cache


def stored(*, content: bool = True) -> EntryMessage:
    """The store's message of the snapshot."""
    message = EntryMessage(key=KEY.to_message(), version=PUT, signature="k.1.2.x")
    message.ttl.FromSeconds(600)
    message.expire_time.FromDatetime(SNAPSHOT.expire_time + timedelta(minutes=7))
    if content:
        message.context.CopyFrom(context_to_message(SNAPSHOT.context))
    return message


def accepts(cache: RiderCache, rider: Rider) -> bool:
    """Whether a call may use a rider, which is kept."""
    return cache.accept_rider(rider, NOW, keep=True)


def ended(revision: int, **target: object) -> WatchResponse:
    """The event, or with `answers` the answer, that something has ended."""
    answers = target.pop("answers", 0)
    invalidated = Invalidated(revision=revision, **target)  # type: ignore[arg-type]
    if not target:
        invalidated.key.CopyFrom(KEY.to_message())
    return WatchResponse(invalidated=invalidated, answers=answers)  # type: ignore[arg-type]


def test_a_known_version_is_not_sent_again() -> None:
    """A kept rider with a version asks for that version: its content does not travel twice."""
    cache = following()
    assert cache.lookup(KEY, 0, NOW) is None
    assert accepts(cache, rider(PUT))
    asked = subscribes(cache, 0, PUT)[-1]
    assert asked.known_version == PUT
    assert resolve(cache, ContextRef(KEY), NOW) is None, "the stream has not answered yet"
    cache.received(WatchResponse(entry=stored(content=False), answers=asked.number))
    found = resolve(cache, ContextRef(KEY, 3), NOW)
    assert found
    assert (found.context, found.version) == (SNAPSHOT.context, PUT)
    assert found.source is ContextSource.NEAR_CACHE


def test_the_put_that_came_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kept rider without a version gets the store's: its content is not decoded again."""
    monkeypatch.setattr(contexts, "entry_from_message", None)
    cache = following()
    assert accepts(cache, rider())
    (asked,) = subscribes(cache, 0, PUT)
    assert asked.known_version == 0
    cache.received(ended(PUT - 1, answers=asked.number))
    assert resolve(cache, ContextRef(KEY), NOW) is None, "only the store can say that it is absent"
    assert accepts(cache, rider()), "its Put may be on its way"
    cache.received(WatchResponse(entry=stored()))
    found = resolve(cache, ContextRef(KEY), NOW)
    assert found
    assert (found.context, found.version) == (SNAPSHOT.context, PUT)


def test_the_life_that_the_store_says() -> None:
    """The entry's time, which rides on to others, is the one that the store told last."""
    cache = following()
    accepts(cache, rider(PUT))
    asked = subscribes(cache, 0, PUT)[-1]
    cache.received(WatchResponse(entry=stored(content=False), answers=asked.number))
    found = resolve(cache, ContextRef(KEY), NOW)
    assert found
    assert found.expire_time == SNAPSHOT.expire_time + timedelta(minutes=7)


@pytest.mark.parametrize("version", [0, PUT])
@pytest.mark.parametrize("how", ["key", "tenant", "scope"])
def test_an_end_that_was_heard(how: str, version: int) -> None:
    """A rider that was made before an invalidation is refused, and a later one is not."""
    cache = following()
    basis = version or MADE
    accepts(cache, rider(version))
    for revision, expected in ((basis, True), (basis + 1, False)):
        match how:
            case "key":
                event = ended(revision)
            case _:
                event = ended(revision)
                event.invalidated.ClearField("key")
                event.invalidated.tenant.tenant_id = KEY.tenant_id
                event.invalidated.tenant.scope = "" if how == "tenant" else KEY.scope
        cache.received(event)
        assert accepts(cache, rider(version)) is expected
        assert cache.accept_rider(rider(version), NOW, keep=False) is expected
    later = replace(SNAPSHOT, version=basis + 2)
    assert accepts(cache, Rider(later, 100, 60.0))


def test_other_scopes_end_nothing() -> None:
    """The end of a tenant's conversations is not the end of its snapshots."""
    cache = following()
    event = ended(MADE + 1)
    event.invalidated.ClearField("key")
    event.invalidated.tenant.tenant_id, event.invalidated.tenant.scope = "acme", "conversation"
    cache.received(event)
    assert accepts(cache, rider())


def test_what_the_store_had_and_has_no_longer() -> None:
    """A rider with a version is refused once the store has answered, later, that there is none."""
    cache = following()
    accepts(cache, rider(PUT))
    asked = subscribes(cache, 0, PUT)[-1]
    cache.received(ended(PUT, answers=asked.number))
    assert not accepts(cache, rider(PUT))
    assert accepts(cache, rider(PUT + 1)), "the caller has heard of a later one"
    assert accepts(cache, rider())


def test_without_a_stream() -> None:
    """Without a stream a rider serves the call that it comes with, and others as a last copy."""
    cache = RiderCache(CacheOptions())
    assert accepts(cache, rider())
    assert resolve(cache, ContextRef(KEY), NOW) is None
    found = last_known(cache, ContextRef(KEY, 3), NOW)
    assert found
    assert (found.context, found.is_stale, found.revision) == (SNAPSHOT.context, True, 3)
    assert last_known(cache, ContextRef(KEY), NOW + 61) is None, "it has expired"


def test_what_is_not_to_be_kept() -> None:
    """A rider that only a signature vouches for leaves nothing behind."""
    cache = following()
    assert cache.accept_rider(rider(), NOW, keep=False)
    assert cache.figures(NOW).entries == 0


def test_endings_are_bounded() -> None:
    """A cache remembers the ends of as many names as it may have entries, the last ones."""
    endings = Endings(3)
    made: list[ContextEntry] = []
    for number in range(5):
        made.append(snapshot_of(entry_of(f"u-{number}", revision=MADE)))
        event = Invalidated(key=made[-1].key.to_message(), revision=MADE + 1)
        endings.record(event, is_answer=False)
        endings.record(event, is_answer=True)
    assert [endings.have_ended(each) for each in made] == [False] * 2 + [True] * 3
    assert len(endings) == 3
    other = Invalidated(key=ContextKey("conversation", "acme", "c").to_message(), revision=99)
    endings.record(other, is_answer=False)
    assert len(endings) == 3

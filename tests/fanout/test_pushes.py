"""Messages that are joined from shared parts have the bytes that protobuf itself would write."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from relevo.v1.context_pb2 import ContextEntry
from relevo.v1.store_pb2 import Batch, Position, Progress, WatchResponse
from relevo_server.wire import pushes
from relevo_server.wire.pushes import Place

revisions = st.integers(0, (1 << 63) - 1)
places = st.lists(
    st.builds(Place, st.integers(0, 4095), revisions, revisions, revisions),
    min_size=1,
    max_size=5,
)


def positions_of(told: Sequence[Place]) -> list[Position]:
    """The same as messages."""
    return [Position(partition=p, revision=r, ping=n, time=t) for p, r, n, t in told]


@given(st.integers(1, 1 << 40), st.integers(0, 300), revisions, places)
def test_an_entry(version: int, size: int, answers: int, told: Sequence[Place]) -> None:
    """An entry, the Subscribe that it answers, and positions: each field once, in order."""
    entry = ContextEntry(version=version, signature="x" * size)
    message = WatchResponse(entry=entry, answers=answers, positions=positions_of(told))
    joined = pushes.entry(entry.SerializeToString(), answers) + pushes.positions(told)
    assert joined == message.SerializeToString(deterministic=True)


@given(places)
def test_progress(told: Sequence[Place]) -> None:
    """A message that has nothing but positions."""
    message = WatchResponse(progress=Progress(positions=positions_of(told)))
    assert pushes.progress(told) == message.SerializeToString(deterministic=True)


@given(st.lists(st.integers(1, 1 << 40), min_size=2, max_size=40))
def test_a_batch(versions: Sequence[int]) -> None:
    """Several messages in one."""
    messages = [WatchResponse(entry=ContextEntry(version=version)) for version in versions]
    serialized = [each.SerializeToString() for each in messages]
    batch = WatchResponse(batch=Batch(messages=messages))
    assert pushes.batch(serialized) == batch.SerializeToString(deterministic=True)
    assert pushes.batch(serialized[:1]) == serialized[0]

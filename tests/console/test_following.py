"""Following changes: by a stream while they are few, by questions while they are many."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from functools import partial
from typing import cast

import pytest
from relevo.admin.v1 import admin_pb2
from relevo.v1.context_pb2 import ContextKey
from relevo_console.following import Follower, Pace
from relevo_console.problems import Kind, StoreCallError
from relevo_console.store import Viewer
from relevo_console.views.changes import Selection
from relevo_console.views.recent import SHOWN, Recent, Update
from support.waiting import PATIENCE

PACE = Pace(collect=0.001, ask=0.001, over=0.05, retry=0.001, calm=3)


def change(number: int, *, at: float = 0.0, by: str = "") -> admin_pb2.ChangesResponse:
    """A Put with this number as its revision, at a time in seconds."""
    made = admin_pb2.Change(
        kind=admin_pb2.CHANGE_KIND_PUT,
        key=ContextKey(scope="s", tenant_id="t", id=f"i{number}"),
        revision=number,
        principal=by,
    )
    made.time.FromMilliseconds(round(at * 1000))
    return admin_pb2.ChangesResponse(change=made)


class Changing:
    """A store whose changes a test decides. It counts how it was asked."""

    def __init__(self) -> None:
        self.changes: list[admin_pb2.ChangesResponse] = []
        self.streamed = 0
        self.asked = 0
        self.problem: StoreCallError | None = None
        self._news = asyncio.Event()

    def add(self, count: int) -> None:
        """Add changes."""
        first = len(self.changes) + 1
        self.changes += [change(first + i, at=(first + i) / 1000) for i in range(count)]
        self._news.set()

    def fail(self, kind: Kind | None) -> None:
        """Fail from now on, or no longer."""
        self.problem = StoreCallError(kind, "it fails") if kind else None
        self._news.set()

    async def call(
        self, request: admin_pb2.ChangesRequest
    ) -> AsyncGenerator[admin_pb2.ChangesResponse, None]:
        """As `Viewer.changes`."""
        self.asked += not request.follow
        after = request.after_revision
        for each in self.changes[after:][-request.limit :]:
            yield each
        at = len(self.changes)
        while True:
            if self.problem:
                raise self.problem
            if not request.follow:
                return
            while at < len(self.changes):
                self.streamed += 1
                yield self.changes[at]
                at += 1
            self._news.clear()
            await self._news.wait()


def follower(store: Changing, pace: Pace = PACE) -> Follower:
    """A follower of a store."""

    class Stub:
        changes = staticmethod(store.call)

    return Follower(cast("Viewer", Stub()), Selection("t"), pace)


async def until(
    updates: AsyncGenerator[Update, None], condition: Callable[[Update], object]
) -> Update:
    """The first update that is as it should be."""
    async with asyncio.timeout(PATIENCE):
        async for update in updates:
            if condition(update):
                return update
    raise AssertionError("no such update")


def _has(count: int, update: Update) -> bool:
    return update.count == count


async def test_few_changes_are_pushed() -> None:
    """While changes are few, the store is asked once, and pushes each."""
    store = Changing()
    following = follower(store)
    async with aclosing(following.updates()) as updates:
        await until(updates, lambda _: following.is_streaming)
        for count in range(1, 6):
            store.add(1)
            update = await until(updates, partial(_has, count))
            assert not update.is_estimate
            assert update.rows[0].revision == count
        assert store.asked == 1


async def test_many_changes_are_asked_for() -> None:
    """A stream that brings too much is left: what then comes costs one page per question."""
    store = Changing()
    following = follower(store)
    async with aclosing(following.updates()) as updates:
        await until(updates, lambda _: following.is_streaming)
        store.add(100)
        await until(updates, lambda _: not following.is_streaming)
        before = store.asked
        store.add(5_000)
        update = await until(updates, lambda each: each.is_estimate)
        assert len(update.rows) == SHOWN
        assert update.rows[0].revision == 5_100
        assert store.streamed <= 100
        assert store.asked > before


async def test_a_busy_log_is_asked_from_the_start() -> None:
    """If the last changes came fast, no stream is opened before it is known to be calm."""
    store = Changing()
    store.add(500)
    following = follower(store)
    async with aclosing(following.updates()) as updates:
        await until(updates, lambda each: len(each.rows) == SHOWN)
        assert not following.is_streaming
        await until(updates, lambda _: store.asked > 1)
        await until(updates, lambda _: following.is_streaming)
        assert store.asked == 1 + PACE.calm


async def test_calm_is_pushed_again() -> None:
    """Once changes are few again, the store pushes them again."""
    store = Changing()
    following = follower(store)
    async with aclosing(following.updates()) as updates:
        await until(updates, lambda _: following.is_streaming)
        store.add(100)
        await until(updates, lambda _: not following.is_streaming)
        await until(updates, lambda _: following.is_streaming)
        store.add(1)
        await until(updates, lambda each: each.rows[0].revision == 101)


async def test_a_store_that_is_away() -> None:
    """While the store is away the rows stay, with the problem; then it goes on where it was."""
    store = Changing()
    store.add(3)
    async with aclosing(follower(store).updates()) as updates:
        await until(updates, lambda each: len(each.rows) == 3)
        store.fail(Kind.AWAY)
        update = await until(updates, lambda each: each.problem)
        assert (len(update.rows), update.problem) == (3, "it fails")
        store.add(2)
        store.fail(None)
        update = await until(updates, lambda each: not each.problem and each.count == 2)
        assert [row.revision for row in update.rows] == [5, 4, 3, 2, 1]


@pytest.mark.parametrize("kind", [Kind.SIGN_IN, Kind.ROLE, Kind.TENANT])
async def test_a_right_that_is_gone(kind: Kind) -> None:
    """If the right is gone, the follower ends: no attempt would mend it."""
    store = Changing()
    store.fail(kind)
    with pytest.raises(StoreCallError) as raised:
        await until(follower(store).updates(), lambda _: False)
    assert raised.value.kind is kind


def test_estimated_counts() -> None:
    """As many changes as were asked for are the last of more: their times tell of how many."""
    recent = Recent(Selection("t"))
    page = [change(number, at=number / 500) for number in range(401, 501)]
    rate = recent.add_page(page, limit=100, elapsed=1.0, now=0.0)
    update = recent.update()
    assert rate == pytest.approx(500, rel=0.01)
    assert update.is_estimate
    assert update.count == pytest.approx(500, rel=0.01)
    few = Recent(Selection("t"))
    assert few.add_page(page[:40], limit=100, elapsed=1.0, now=0.0) == 40
    assert (few.update().count, few.update().is_estimate) == (40, False)


def test_rows_are_bounded_and_filtered() -> None:
    """A page shows the newest hundred changes, of one principal if that is asked for."""
    recent = Recent(Selection("t", principal="ann"))
    for number in range(1, 500):
        recent.add(change(number, by="ann" if number % 2 else "bob"), 0.0)
    rows = recent.update().rows
    assert len(rows) == SHOWN
    assert rows[0].revision == 499
    assert {row.principal for row in rows} == {"ann"}
    assert recent.after == 499


def test_gaps_are_told() -> None:
    """A gap in the store's log is told, also if no change comes with it."""
    recent = Recent(Selection("t"))
    recent.add(admin_pb2.ChangesResponse(gap=True), 0.0)
    assert recent.update().has_gap

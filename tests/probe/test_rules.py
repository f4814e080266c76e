"""Each promise that a probe checks, broken and kept: histories of a few writes and reads."""

from collections.abc import Sequence
from typing import Any

import pytest
from relevo_client import ContextKey
from relevo_probe.checker import Checker
from relevo_probe.history import Kind, Part, Read, Source, Write
from relevo_probe.rules import FLOORED_SCOPE, Check, Violation

HEAD, LAYER, ENDED = (ContextKey("relevo_probe", "probe-1", each) for each in ("h", "l", "e"))
FLOORED = ContextKey(FLOORED_SCOPE, "probe-1", "f")
MAX_STALENESS = 2.0


class Scene:
    """A tenant with some writes; what is found is listed."""

    def __init__(self) -> None:
        self.found: list[Violation] = []
        self.staleness: list[float] = []
        self.checker = Checker(
            max_staleness=MAX_STALENESS,
            call_timeout=2.0,
            report=self.found.append,
            stale=self.staleness.append,
        )
        self.checker.add_near_cache("n")

    def written(
        self, key: ContextKey, version: int, end: float, *, value: int = 0, **fields: Any
    ) -> Write:
        """A write that took 0.1 s, acknowledged; a Put if it has a value."""
        write = self.sent(key, end - 0.1, value=value, **fields)
        self.checker.acknowledge(write, version, end)
        return write

    def sent(self, key: ContextKey, begin: float, *, value: int = 0, **fields: Any) -> Write:
        """A write that has not ended yet."""
        ending: Kind = "floor" if key == FLOORED else "invalidate"
        write = Write("put" if value else ending, key, begin, value=value, **fields)
        self.checker.begin(write)
        return write

    def read(
        self,
        at: float,
        *parts: Part,
        source: Source = "near_cache",
        reader: str = "n",
        fence: int = 0,
        revision: int = 0,
    ) -> None:
        """An answer that took 0.01 s."""
        self.checker.observe(Read(reader, source, at, at + 0.01, parts, fence, revision))

    @property
    def broken(self) -> list[Check]:
        """The promises that were broken, in order."""
        return [each.check for each in self.found]


@pytest.fixture
def scene() -> Scene:
    """A head and a layer, written at 1 s: versions 10 and 11, values 1 and 2."""
    scene = Scene()
    scene.written(HEAD, 10, 1.0, value=1)
    scene.written(LAYER, 11, 1.0, value=2)
    return scene


@pytest.mark.parametrize(
    "at, expected", [(4.999, []), (5.0, [Check.AGE])], ids=["young enough", "too old"]
)
def test_age(scene: Scene, at: float, expected: list[Check]) -> None:
    """A near cache may show an old value for `max_staleness`, and no longer (N2)."""
    scene.written(HEAD, 20, 3.0, value=3)
    scene.read(at, Part(HEAD, 10, 1))
    assert scene.broken == expected


def test_age_is_of_near_caches(scene: Scene) -> None:
    """A server that answers from its memory may be older: it promises the fence."""
    scene.written(HEAD, 20, 3.0, value=3)
    scene.read(100.0, Part(HEAD, 10, 1), source="server", fence=11)
    assert scene.broken == []


@pytest.mark.parametrize("source", ["near_cache", "store", "server"])
@pytest.mark.parametrize("fence, expected", [(19, []), (20, [Check.FENCE]), (99, [Check.FENCE])])
def test_fence(scene: Scene, source: Source, fence: int, expected: list[Check]) -> None:
    """A read with a fence shows every write up to it, whoever answers (N1)."""
    scene.written(HEAD, 20, 3.0, value=3)
    scene.read(2.5, Part(HEAD, 10, 1), source=source, fence=fence)
    assert scene.broken == expected


def test_own_writes(scene: Scene) -> None:
    """A near cache shows its own client's writes at once, and nobody else's has to."""
    scene.written(HEAD, 20, 3.0, value=3, writer="n")
    scene.read(3.0, Part(HEAD, 10, 1), reader="other")
    assert scene.broken == []
    scene.read(3.0, Part(HEAD, 10, 1))
    assert scene.broken == [Check.FENCE]


def test_own_writes_before_their_answer(scene: Scene) -> None:
    """A write that another reader has seen is the near cache's own only once it has its answer."""
    write = scene.sent(HEAD, 3.0, value=3, writer="n")
    scene.read(3.1, Part(HEAD, 20, 3), source="store", reader="store")
    scene.read(3.2, Part(HEAD, 10, 1))
    scene.checker.acknowledge(write, 20, 3.3)
    assert scene.broken == []


@pytest.mark.parametrize("at, expected", [(2.95, []), (3.0, [Check.RECENT])])
def test_recent(scene: Scene, at: float, expected: list[Check]) -> None:
    """A STRONG read shows what was acknowledged before it began (S2)."""
    scene.written(HEAD, 20, 3.0, value=3)
    scene.read(at, Part(HEAD, 10, 1), source="store")
    assert scene.broken == expected


def test_a_read_shows_that_a_write_is_there(scene: Scene) -> None:
    """Once one STRONG read has shown a write, none that begins later lacks it."""
    write = scene.sent(HEAD, 3.0, value=3)
    scene.read(3.1, Part(HEAD, 20, 3), source="store")
    scene.read(3.2, Part(HEAD, 10, 1), source="store")
    scene.checker.fail(write, 5.0)
    assert scene.broken == [Check.RECENT]


def test_monotonic(scene: Scene) -> None:
    """A near cache never goes back, even within its time; another one may be behind it."""
    scene.written(HEAD, 20, 3.0, value=3)
    scene.read(3.1, Part(HEAD, 20, 3))
    scene.read(3.2, Part(HEAD, 10, 1), reader="other")
    assert scene.broken == []
    scene.read(3.2, Part(HEAD, 10, 1))
    assert scene.broken == [Check.MONOTONIC]


def test_monotonic_absence(scene: Scene) -> None:
    """A near cache that has shown that an entry has ended does not show the same version again."""
    scene.written(ENDED, 30, 3.0, value=3)
    scene.written(ENDED, 40, 3.1)
    scene.read(3.2, Part(ENDED, 30, 3))
    scene.read(3.3, Part(ENDED, 0))
    assert scene.broken == []
    scene.read(3.4, Part(ENDED, 30, 3))
    assert scene.broken == [Check.MONOTONIC]


def test_closed_near_caches(scene: Scene) -> None:
    """A near cache that begins anew may be behind the one before it."""
    scene.written(HEAD, 20, 3.0, value=3)
    scene.read(3.1, Part(HEAD, 20, 3))
    scene.checker.remove_near_cache("n")
    scene.read(3.2, Part(HEAD, 10, 1))
    assert scene.broken == []


WRONG_VERSIONS: dict[str, Part] = {
    "another value": Part(HEAD, 10, 2),
    "another version": Part(HEAD, 12, 1),
    "a value of nobody": Part(HEAD, 12, 77),
    "another key's value": Part(LAYER, 10, 1),
}


@pytest.mark.parametrize("part", WRONG_VERSIONS.values(), ids=WRONG_VERSIONS)
def test_version(scene: Scene, part: Part) -> None:
    """A version shows the value that was written with it, and no other (S3)."""
    scene.read(1.1, part)
    assert scene.broken == [Check.VERSION]


@pytest.mark.parametrize("version", [10, 11, 9], ids=["own", "another key's", "going back"])
def test_reused_versions(scene: Scene, version: int) -> None:
    """No acknowledgement has a version that was used before, or that is less than one (S3)."""
    scene.written(HEAD, version, 3.0, value=3)
    assert set(scene.broken) == {Check.VERSION}


def test_versions_of_concurrent_writes(scene: Scene) -> None:
    """Writes that overlap may be acknowledged in any order."""
    first, second = scene.sent(HEAD, 3.0, value=3), scene.sent(LAYER, 3.0, value=4)
    scene.checker.acknowledge(second, 21, 3.1)
    scene.checker.acknowledge(first, 20, 3.2)
    assert scene.broken == []


def test_whole_compositions(scene: Scene) -> None:
    """Compositions of states that existed together are whole, however their parts are old."""
    scene.written(LAYER, 20, 2.0, value=3)
    scene.written(HEAD, 30, 2.1, value=4)
    scene.read(2.2, Part(HEAD, 10, 1), Part(LAYER, 11, 2))
    scene.read(2.3, Part(HEAD, 10, 1), Part(LAYER, 20, 3))
    scene.read(2.4, Part(HEAD, 30, 4), Part(LAYER, 20, 3))
    assert scene.broken == []


def test_torn_compositions(scene: Scene) -> None:
    """A composition of states that never existed together is torn (N9)."""
    scene.written(LAYER, 20, 2.0, value=3)
    scene.written(HEAD, 30, 2.1, value=4)
    scene.read(2.2, Part(HEAD, 30, 4), Part(LAYER, 11, 2))
    assert scene.broken == [Check.TORN]


def test_torn_by_a_write_in_progress(scene: Scene) -> None:
    """A composition is judged once the writes have ended that may be between its parts."""
    write = scene.sent(LAYER, 2.0, value=3)
    scene.written(HEAD, 30, 2.1, value=4)
    scene.read(2.2, Part(HEAD, 30, 4), Part(LAYER, 11, 2))
    assert scene.broken == []
    scene.checker.acknowledge(write, 20, 2.3)
    assert scene.broken == [Check.TORN]


def test_composed_of_something_else(scene: Scene) -> None:
    """What a composition shows of each part is what the part has."""
    scene.read(1.1, Part(HEAD, 10, 1, 1), Part(LAYER, 11, 2, 1))
    assert scene.broken == [Check.TORN]


def test_answers_before_their_parts(scene: Scene) -> None:
    """An answer says that it is as of its fence, and of its newest part, or later."""
    scene.read(1.1, Part(HEAD, 10, 1), Part(LAYER, 11, 2), revision=11)
    assert scene.broken == []
    scene.read(1.2, Part(HEAD, 10, 1), Part(LAYER, 11, 2), revision=10)
    assert scene.broken == [Check.FENCE]


@pytest.mark.parametrize(
    "source, fence, expected",
    [("store", 0, Check.LOST), ("near_cache", 0, Check.AGE), ("server", 10, Check.FENCE)],
)
def test_lost(scene: Scene, source: Source, fence: int, expected: Check) -> None:
    """An acknowledged entry is there: the store has lost it, or a copy is older than it may be."""
    scene.read(10.0, Part(HEAD, 0), source=source, fence=fence)
    assert scene.broken == [expected]


def test_ended_entries_are_not_lost(scene: Scene) -> None:
    """An entry that has expired, or that was or may have been invalidated, may be gone."""
    scene.written(ENDED, 20, 2.0, value=3, ttl=20.0)
    scene.read(13.0, Part(ENDED, 0))
    scene.written(LAYER, 30, 14.0)
    scene.read(14.1, Part(LAYER, 0))
    unknown = scene.sent(HEAD, 15.0)
    scene.checker.fail(unknown, 17.0)
    scene.read(20.0, Part(HEAD, 0))
    assert scene.broken == []


def test_floors_of_others(scene: Scene) -> None:
    """Another probe's floor may end an entry of the scope that is there for it."""
    scene.written(FLOORED, 30, 3.0, value=3)
    scene.read(9.0, Part(FLOORED, 0))
    assert scene.broken == []


@pytest.mark.parametrize("key", [ENDED, FLOORED], ids=["invalidated", "below a floor"])
@pytest.mark.parametrize("source, fence", [("store", 0), ("near_cache", 40), ("near_cache", 0)])
def test_resurrected(scene: Scene, key: ContextKey, source: Source, fence: int) -> None:
    """What was invalidated is not shown again: by the store at once, by a near cache in time."""
    scene.written(key, 30, 3.0, value=3)
    scene.written(key, 40, 3.1)
    if not fence and source == "near_cache":
        scene.read(5.0, Part(key, 30, 3))
        assert scene.broken == []
    scene.read(5.2, Part(key, 30, 3), source=source, fence=fence)
    assert scene.broken == [Check.RESURRECTED]


def test_late_writes(scene: Scene) -> None:
    """A Put under a lease that has ended is refused; it is neither acknowledged nor shown (S4)."""
    refused = scene.sent(ENDED, 3.0, value=3, is_void=True)
    scene.checker.fail(refused, 3.1, is_refused=True)
    assert scene.broken == []
    scene.read(3.2, Part(ENDED, 30, 3), source="store")
    scene.written(ENDED, 40, 3.3, value=4, is_void=True)
    assert scene.broken == [Check.LATE_WRITE, Check.LATE_WRITE]


def test_writes_with_an_unknown_outcome(scene: Scene) -> None:
    """A write that has failed may take effect later, or never: neither is a violation."""
    unknown = scene.sent(HEAD, 3.0, value=3)
    scene.checker.fail(unknown, 5.0)
    scene.read(9.0, Part(HEAD, 10, 1), source="store")
    scene.read(9.1, Part(HEAD, 50, 3), source="store")
    assert scene.broken == []


def test_staleness_is_measured(scene: Scene) -> None:
    """The time from each acknowledged Put until a near cache shows it, or a later one."""
    scene.written(HEAD, 20, 3.0, value=3)
    scene.written(HEAD, 30, 3.5, value=4)
    assert scene.checker.unseen("n") == {HEAD.tenant_id}
    scene.read(3.74, Part(HEAD, 30, 4), Part(LAYER, 11, 2))
    assert scene.staleness == pytest.approx([2.75, 0.75, 0.25, 2.75])
    assert scene.checker.unseen("n") == set()


def test_each_read_counts_what_it_checks(scene: Scene) -> None:
    """Counts say how often each promise was checked, so that silence is no good news."""
    scene.read(1.1, Part(HEAD, 10, 1), Part(LAYER, 11, 2), fence=10)
    scene.read(1.1, Part(HEAD, 10, 1), source="store")
    counts: Sequence[int] = [scene.checker.checks[each] for each in Check]
    assert dict(zip(Check, counts, strict=True)) == {
        Check.AGE: 1,
        Check.FENCE: 1,
        Check.RECENT: 1,
        Check.MONOTONIC: 1,
        Check.VERSION: 4,
        Check.TORN: 1,
        Check.LOST: 2,
        Check.RESURRECTED: 2,
        Check.LATE_WRITE: 2,
    }


def test_memory_is_bounded() -> None:
    """A probe that runs for long remembers only the writes that a read may still show."""
    scene = Scene()
    for number in range(1, 5000):
        scene.written(HEAD, number, float(number), value=number)
        scene.read(number + 0.1, Part(HEAD, number, number))
        scene.checker.fail(scene.sent(LAYER, float(number), value=number + 10**6), number + 0.1)
    assert scene.broken == []
    assert scene.checker.remembered < 100

"""Histories of the operations of several processes on a store, written as JSON lines.

Times are nanoseconds of `time.monotonic_ns`, which is one clock for all processes of a
machine. Every value is written only once.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from math import inf
from typing import Any, Literal

Kind = Literal["get", "put", "cas", "invalidate"]
Outcome = Literal["ok", "conflict", "unknown"]


@dataclass(frozen=True)
class Operation:
    """One call for one key, as its caller saw it."""

    key: str
    kind: Kind
    begin: int
    end: int
    outcome: Outcome = "ok"
    """`unknown`: the call takes effect at any time after its begin, or never."""
    value: str | None = None
    """The value that was written or read; None if a read found none."""
    version: int = 0
    """The version that was written or read; the revision of an invalidation; on a conflict, the
    live version. 0 for none."""
    expected: int = 0
    """The version that a compare-and-set expected, 0 for none."""
    count: int = 0
    """The number of entries that an invalidation ended."""

    @property
    def last(self) -> float:
        """The latest time at which the operation takes effect, if it does."""
        return inf if self.outcome == "unknown" else self.end

    def to_json(self) -> dict[str, Any]:
        """Convert to a JSON object."""
        return {"type": "operation", **asdict(self)}


@dataclass(frozen=True)
class FencedRead:
    """A near cache's answer for a reference."""

    key: str
    fence: int
    begin: int
    end: int
    value: str | None = None
    version: int = 0
    """The version of the answer, 0 if nothing was found."""
    is_cached: bool = True
    """Whether the answer came from the cache, without a call to the store."""

    def to_json(self) -> dict[str, Any]:
        """Convert to a JSON object."""
        return {"type": "read", **asdict(self)}


def from_json(lines: Iterable[dict[str, Any]]) -> tuple[list[Operation], list[FencedRead]]:
    """Parse the records of one or several processes."""
    operations: list[Operation] = []
    reads: list[FencedRead] = []
    for line in lines:
        kind, fields = line["type"], {name: line[name] for name in line if name != "type"}
        if kind == "read":
            reads.append(FencedRead(**fields))
        else:
            operations.append(Operation(**fields))
    return operations, reads


def by_key(operations: Iterable[Operation]) -> dict[str, list[Operation]]:
    """The history of each key."""
    found: defaultdict[str, list[Operation]] = defaultdict(list)
    for operation in operations:
        found[operation.key].append(operation)
    return found


def behind_fence(reads: Iterable[FencedRead], operations: Sequence[Operation]) -> list[FencedRead]:
    """The reads that were older than their fences, or of values that were not written yet.

    A fence allows a read to return a value that has ended, but only by a write above the
    fence. So the answer must be the last write at or below the fence, or a later one.
    """
    histories = by_key(operations)
    return [read for read in reads if not _is_justified(read, histories.get(read.key, []))]


def _is_justified(read: FencedRead, history: list[Operation]) -> bool:
    writes = [each for each in history if each.kind != "get" and each.outcome != "conflict"]
    known = [each for each in writes if each.outcome == "ok" and each.version <= read.fence]
    needed = max((each.version for each in known), default=0)
    begun = [each for each in writes if each.begin < read.end]
    if read.value is not None:
        return read.version >= needed and any(
            each.value == read.value and each.version in (0, read.version) for each in begun
        )
    last_put = max((each.version for each in known if each.kind != "invalidate"), default=0)
    return not last_put or any(
        each.kind == "invalidate" and (each.outcome == "unknown" or each.version > last_put)
        for each in begun
    )

"""The partitions that a near cache follows: their positions, and how current their copies are.

Times are seconds of a clock that never goes back, as in `machine`.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from relevo.v1.store_pb2 import Position, Reset, ResetReason

from relevo_client._near_cache.clock import LONG_AGO
from relevo_client._near_cache.state import UNKNOWN, Copy
from relevo_client._telemetry.counts import COUNTS

_RESET_REASONS = {
    number: name.removeprefix("RESET_REASON_").lower()
    for name, number in ResetReason.items()
    if number != ResetReason.RESET_REASON_UNSPECIFIED
}
"""The reasons of resets, as metrics name them."""


@dataclass(slots=True)
class Partition:
    """The position of a partition, and the age of its proof."""

    position: int = 0
    """The revision up to which all events are applied, by any stream so far."""
    stream_position: int = 0
    """The same by the open stream alone, whose server may know another order of events."""
    as_of: float = LONG_AGO
    """The time as of which, or later, the stream's messages about the partition are true."""
    proven: float = LONG_AGO
    """The same by any stream so far: the copies were current then."""


class Partitions(dict[int, Partition]):
    """The partitions by their numbers, and what their positions say about copies."""

    def __init__(self) -> None:
        super().__init__()
        # The number of copies in each partition.
        self._copies: dict[int, int] = {}

    def assign(self, copy: Copy, number: int) -> None:
        """Record the partition of a copy, as the stream has answered."""
        if copy.partition != number:
            self.release(copy)
            copy.partition = number
            self._copies[number] = self._copies.get(number, 0) + 1

    def release(self, copy: Copy) -> None:
        """Record that a copy is no longer held."""
        if copy.partition != UNKNOWN:
            self._copies[copy.partition] -= 1

    def reset(self, reset: Reset) -> None:
        """Forget the position of a partition, and count the reason."""
        COUNTS.resets[_RESET_REASONS.get(reset.reason, "other")] += 1
        before = self.get(reset.partition)
        self[reset.partition] = Partition(proven=before.proven if before else LONG_AGO)

    def staleness(self, now: float) -> float | None:
        """The seconds since copies of all partitions were last proven current; None if never."""
        # Copied in one step: this may be called in another thread.
        held = [part for number, part in list(self.items()) if self._copies.get(number)]
        proven = min((part.proven for part in held), default=LONG_AGO)
        return _since(proven, now)

    def of(self, copy: Copy) -> Partition | None:
        """The partition of a copy, or None if no position of it has arrived yet."""
        return self.get(copy.partition)

    def age(self, copy: Copy | None, now: float) -> float | None:
        """The seconds since a copy's partition was last proven current; None if never."""
        partition = self.of(copy) if copy else None
        return _since(partition.proven if partition else LONG_AGO, now)

    def position(self, copy: Copy) -> int:
        """The position of a copy's partition, 0 if unknown."""
        partition = self.of(copy)
        return partition.position if partition else 0

    def as_of(self, copy: Copy) -> float:
        """The time as of which, or later, the messages about a copy's partition are true."""
        partition = self.of(copy)
        return partition.as_of if partition else LONG_AGO

    def advance(self, positions: Iterable[Position], as_of: Callable[[Position], float]) -> bool:
        """Apply positions from the stream, with the time as of which each is true.

        Returns whether any of them proves something newer than what was known.
        """
        is_newer = False
        for position in positions:
            partition = self.setdefault(position.partition, Partition())
            partition.position = max(partition.position, position.revision)
            partition.stream_position = max(partition.stream_position, position.revision)
            time = as_of(position)
            is_newer |= time > partition.as_of
            partition.as_of = max(partition.as_of, time)
            partition.proven = max(partition.proven, partition.as_of)
        return is_newer

    def stream_ended(self) -> None:
        """Forget what the ended stream alone has proven. The next one resumes from `position`."""
        for partition in self.values():
            partition.stream_position, partition.as_of = 0, LONG_AGO

    def is_whole(self, copies: Sequence[Copy]) -> bool:
        """Whether there is a revision as of which the store had all of these copies (N9).

        The store had each of them from its own version on, up to the position of its stream. The
        server reads a value after the event that announces it, so a copy can be ahead of the
        position; then there is no such revision.
        """
        answered = {copy.is_answered for copy in copies}
        if len(answered) > 1:  # two streams may have different orders of revisions
            return False
        return max(copy.entry_version for copy in copies) <= min(map(self.confirmed, copies))

    def confirmed(self, copy: Copy) -> int:
        """The revision up to which the store is known to have had a copy's entry."""
        if copy.is_answered and copy.version == copy.entry_version:
            partition = self.of(copy)
            return partition.stream_position if partition else 0
        return copy.confirmed


def _since(proven: float, now: float) -> float | None:
    """The seconds since a proof; None if there was none."""
    return None if proven == LONG_AGO else now - proven

"""What a server has done since it started, in plain integers.

Hot paths add to them. Whoever collects reads them from another thread.
"""

from dataclasses import dataclass, field

from relevo.v1.store_pb2 import ResetReason

from relevo_server.quotas import Quota

GRANTED, ENTRY, HELD, RELEASED = "granted", "entry", "held", "released"
HIT, MISS = "hit", "miss"
_RESETS = {
    ResetReason.RESET_REASON_LOG_TRIMMED: "log_trimmed",
    ResetReason.RESET_REASON_ORDER_CHANGED: "order_changed",
    ResetReason.RESET_REASON_SLOW_WATCHER: "slow_watcher",
}


@dataclass(slots=True, eq=False)
class Counts:
    """The counts of one server, by the values of their attribute if they have one."""

    events: int = 0
    """Events that were published to watchers, each once for each watcher."""
    resets: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_RESETS.values(), 0))
    """Partitions of streams that were reset, by reason."""
    leases: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys((GRANTED, ENTRY, HELD, RELEASED), 0)
    )
    """Lease and Release calls, by what they ended with."""
    lookups: dict[str, int] = field(default_factory=lambda: dict.fromkeys((HIT, MISS), 0))
    """Lookups of reads with CONSISTENCY_CACHED in the server's memory, by their result."""
    quota_refusals: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys((each.value for each in Quota), 0)
    )
    """Calls and subscriptions that were refused, by the quota that was used up."""

    def count_reset(self, reason: ResetReason) -> None:
        """Count one partition of a stream that is reset."""
        self.resets[_RESETS[reason]] += 1

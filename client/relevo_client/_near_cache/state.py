"""The state of a near cache: copies of entries, own writes.

Times are seconds of a clock that never goes back, as in `machine`.
"""

from dataclasses import dataclass

from relevo.v1.context_pb2 import ContextEntry as EntryMessage

from relevo_client._context.digest import is_digest
from relevo_client._context.entry import ContextEntry
from relevo_client._context.hiding import hides
from relevo_client._context.keys import ContextKey
from relevo_client._near_cache.clock import LONG_AGO

ABSENT = 0
"""The version of an entry that does not exist."""
_ROUNDING = 1e-3
"""Seconds that are more than a sum of times is rounded by."""
UNKNOWN = -1
"""The partition of a copy before the first answer."""
DECLINED_PAUSE = 5.0
"""Seconds before the stream is asked again for a key that the store has declined to watch. Until
then each lookup asks the store for the entry."""


@hides("serialized")
@dataclass(slots=True, eq=False)
class Copy:
    """The copy of one key's entry, or of its absence, and what the stream said about it."""

    key: ContextKey
    number: int = 0
    """The number of the last Subscribe for the key."""
    is_answered: bool = False
    """Whether the stream has answered a Subscribe since it began and since the last reset."""
    confirmed: int = 0
    """The revision up to which the store had `entry_version`, by the last stream that answered
    for any copy; 0 if that stream did not answer for this one."""
    partition: int = UNKNOWN
    version: int | None = None
    """The cached entry's version, ABSENT if there is none, None if unknown."""
    entry_version: int = ABSENT
    """The version of the last entry received; equals `version` unless that is None or ABSENT."""
    size: int = 0
    """The serialized size of the entry, in bytes."""
    serialized: bytes | None = None
    """The entry until its first use; a parsed message would be six times as large."""
    has_layers: bool = False
    """Whether the entry includes others."""
    deadline: float = LONG_AGO
    """The time at which the entry expires."""
    lifetime: float = 0.0
    """The seconds that the entry had left to live in the last message about it."""
    full_lifetime: float = 0.0
    """The seconds that the entry had to live when it was written."""
    touched: float = LONG_AGO
    """The time of the last Touch."""
    is_declined: bool = False
    """Whether the last Subscribe was answered without saying whether there is an entry."""
    asked: float = LONG_AGO
    """The time at which a lookup last subscribed again, as the copy could not be used."""
    ageing_reported: float = LONG_AGO
    """The time at which the entry was last reported as ageing."""
    next_due: float = LONG_AGO
    """The time before which none of these times is due."""
    entry: ContextEntry | None = None
    """The entry decoded from `serialized`, from its first use on."""
    composed: ContextEntry | None = None
    """The last composition with the layers that existed as a whole; its entry may be of an
    earlier version."""
    fenced: tuple[ContextEntry, ContextEntry] | None = None
    """One of both, and the same with the later fence of a call as its revision."""
    versions: tuple[int, ...] = ()
    """The versions in `composed`: the entry's, then those of its layers in order."""

    def hold(self, message: EntryMessage | None) -> int:
        """Replace the entry, or drop it for None. Returns the growth in bytes, negative if less."""
        serialized = message.SerializeToString() if message else b""
        more = len(serialized) - self.size
        self.size, self.serialized, self.entry = len(serialized), serialized, None
        self.entry_version, self.confirmed = message.version if message else ABSENT, 0
        self.fenced = None
        self.has_layers = bool(message and message.context.includes)
        if not self.has_layers:
            self.composed, self.versions = None, ()
        return more

    def is_as_of(self, fence: int, own: int) -> bool:
        """Whether the entry serves a call with this fence, whatever the partition's position (N1).

        A snapshot is never older than a fence: its name is its content. But what this process has
        written may have ended it: `own` is the revision of an own write that copies have not
        reached, 0 for none.
        """
        if not own and is_digest(self.key):
            return True
        return not self.has_layers and self.entry_version >= max(fence, own)

    def may_ask(self, now: float) -> bool:
        """Whether a lookup may subscribe again to a copy that cannot be used. Records that it does.

        The store may have a reason to decline that lasts: the client has no right to the entry, or
        has too many subscriptions.
        """
        if self.is_declined and now - self.asked < DECLINED_PAUSE:
            return False
        self.asked = now
        return True

    def prolong(self, message: EntryMessage, *, sent: float) -> None:
        """Take over the time to live of an entry, from a message that was sent at this time."""
        self.lifetime = message.ttl.ToTimedelta().total_seconds()
        self.deadline = sent + self.lifetime
        self.full_lifetime = max(self.lifetime, seconds_from_write_to_end(message))
        self.next_due = LONG_AGO

    def is_to_be_touched(self, now: float) -> bool:
        """Whether half of the entry's time is over, and a Touch may prolong it."""
        half = self.lifetime / 2
        return self.deadline - now < half and now - self.touched >= half

    def is_to_be_reported(self, now: float) -> bool:
        """Whether the entry is in the last fifth of its time, and was not reported just now."""
        is_ageing = self.deadline - now < self.full_lifetime / 5
        return is_ageing and now - self.ageing_reported >= self.full_lifetime / 20

    def find_next_due(self, *, is_renewed: bool) -> None:
        """Find the time until which an entry that was just looked at needs not to be again."""
        half = self.lifetime / 2
        due = min(self.deadline, max(self.deadline - half, self.touched + half))
        if is_renewed:
            ageing = self.deadline - self.full_lifetime / 5
            due = min(due, max(ageing, self.ageing_reported + self.full_lifetime / 20))
        self.next_due = due - _ROUNDING


class OwnWrites(dict[str, tuple[int, float]]):
    """The last revision that this process has written for each tenant, until copies reach it.

    Revisions with their times, by tenant, the oldest first. Each is kept for `keep` seconds at
    most: copies that are usable later were confirmed after it.
    """

    def __init__(self, keep: float) -> None:
        super().__init__()
        self._keep = keep

    def add(self, tenant_id: str, revision: int, now: float) -> None:
        """Record an acknowledged write."""
        earlier, _ = self.pop(tenant_id, (0, now))
        self[tenant_id] = max(revision, earlier), now
        while now - next(iter(self.values()))[1] >= self._keep:
            del self[next(iter(self))]

    def discard(self, tenant_id: str) -> None:
        """Forget the tenant's write."""
        self.pop(tenant_id, None)

    def fence(self, tenant_id: str, position: int, now: float) -> int:
        """The fence for the tenant's copies if their partition is at `position`; 0 for none."""
        written, at = self.get(tenant_id, (0, now))
        if written <= position or now - at >= self._keep:
            self.discard(tenant_id)
            return 0
        return written


def seconds_from_write_to_end(entry: EntryMessage) -> float:
    """The time to live of an entry from its last write, in seconds.

    The time of the write is in its version, whose upper bits are milliseconds.
    """
    return entry.expire_time.ToMilliseconds() / 1000 - (entry.version >> 20) / 1000

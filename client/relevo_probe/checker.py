"""Judges a probe's writes and reads as they come, and counts.

Pure: no I/O and no clock. Not thread-safe.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator

from relevo_client import ContextKey

from relevo_probe.history import History, Read, Write
from relevo_probe.rules import Check, Violation, checks_of, violations

_KEPT = 4.0
"""For how many times `max_staleness` a write is remembered: reads show only the last of these."""


class _Tenant:
    """The state of one tenant."""

    def __init__(self) -> None:
        self.history = History()
        self.pending: list[Write] = []
        """Writes that were sent and have not ended yet, in the order of their begins."""
        self.waiting: deque[Read] = deque()
        """Reads that are judged when the writes that they may show have ended."""
        self.shown: dict[tuple[str, ContextKey], int] = {}
        """The last version that each near cache has shown of each key."""
        self.is_gone: set[tuple[str, ContextKey]] = set()
        """Of these, those that have shown no entry since."""


class Checker:
    """Checks what near caches and the store show against what was written.

    Args:
        max_staleness: the bound of the near caches, in seconds.
        call_timeout: the longest that one call takes, in seconds.
        report: is called with each violation.
        stale: is called with the seconds from each acknowledged Put until a near cache shows it.

    """

    def __init__(
        self,
        *,
        max_staleness: float,
        call_timeout: float,
        report: Callable[[Violation], None] = lambda _: None,
        stale: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._max_staleness = max_staleness
        self._kept = _KEPT * (max_staleness + call_timeout)
        self._report = report
        self._stale = stale
        self._tenants: defaultdict[str, _Tenant] = defaultdict(_Tenant)
        self._unseen: dict[str, dict[ContextKey, list[Write]]] = {}
        """For each near cache, the acknowledged Puts that it has not shown yet, by their keys."""
        self.checks: Counter[Check] = Counter()
        """The number of checks of each promise."""
        self.violations: Counter[Check] = Counter()
        """The number of violations of each promise."""

    @property
    def remembered(self) -> int:
        """The number of writes and reads in memory."""
        return sum(len(each.history) + len(each.waiting) for each in self._tenants.values())

    def add_near_cache(self, name: str) -> None:
        """Expect a near cache to show the writes from now on."""
        self._unseen[name] = {}

    def remove_near_cache(self, name: str) -> None:
        """Forget a near cache that is closed. No other may have its name later."""
        del self._unseen[name]
        for tenant in self._tenants.values():
            tenant.is_gone = {each for each in tenant.is_gone if each[0] != name}
            for each in [each for each in tenant.shown if each[0] == name]:
                del tenant.shown[each]

    def forget_unseen(self, name: str) -> None:
        """Measure nothing of the Puts that a near cache has not shown yet."""
        self._unseen[name].clear()

    def fence(self, tenant_id: str) -> int:
        """The greatest revision of a tenant that the probe knows: a fence for its next reads."""
        return self._tenants[tenant_id].history.last

    def unseen(self, name: str) -> set[str]:
        """The tenants of which a near cache has not shown all acknowledged Puts yet."""
        return {key.tenant_id for key in self._unseen[name]}

    def begin(self, write: Write) -> None:
        """Record a write, before it is sent."""
        tenant = self._tenant(write)
        tenant.history.begin(write)
        tenant.pending.append(write)

    def acknowledge(self, write: Write, version: int, now: float) -> None:
        """Record that a write has ended with this revision."""
        tenant = self._tenant(write)
        write.acknowledged = now
        self.checks.update((Check.VERSION, Check.LATE_WRITE) if write.is_void else (Check.VERSION,))
        if write.is_void:
            self._break(write, Check.LATE_WRITE, now, "a Put under an ended lease was accepted")
        if write.version:  # a read has shown it before
            if write.version != version:
                text = f"acknowledged with {version}, and shown with {write.version} before"
                self._break(write, Check.VERSION, now, text)
        else:
            self._learn(tenant, write, version, now)
        if version <= write.after:
            text = f"acknowledged with {version}, but {write.after} was known before it was sent"
            self._break(write, Check.VERSION, now, text)
        if write.kind == "put" and not write.is_void:
            for name, unseen in self._unseen.items():
                if tenant.shown.get((name, write.key), 0) < version:
                    unseen.setdefault(write.key, []).append(write)
                else:
                    self._stale(0.0)
        self._ended(tenant, write, now)

    def fail(self, write: Write, now: float, *, is_refused: bool = False) -> None:
        """Record that a write has ended without a revision.

        `is_refused`: the store has said that it has no effect. Else it may still take effect.
        """
        tenant = self._tenant(write)
        if write.is_void:
            self.checks[Check.LATE_WRITE] += 1
        if is_refused and not write.version:
            tenant.history.refuse(write)
        self._ended(tenant, write, now)

    def behind(self, key: ContextKey, fence: int, now: float) -> None:
        """Record that the store says that it has not reached a revision that it has given."""
        self.checks[Check.RECENT] += 1
        text = f"the store is behind {fence}, which it has acknowledged"
        self._found(Violation(Check.RECENT, "store", key, now, text))

    def observe(self, read: Read) -> None:
        """Record an answer. The reads of one near cache must come in the order of their ends."""
        tenant = self._tenants[read.parts[0].key.tenant_id]
        for part in (part for part in read.parts if part.version):
            write = tenant.history.with_value(part.value or 0)
            if write and not write.version and not write.is_void and write.key == part.key:
                self._learn(tenant, write, part.version, read.end)
        self.checks.update(checks_of(read))
        if read.source == "near_cache":
            for violation in self._going_back(tenant, read):
                self._found(violation)
            self._see(tenant, read)
        tenant.waiting.append(read)
        self._judge(tenant)

    def _tenant(self, write: Write) -> _Tenant:
        return self._tenants[write.key.tenant_id]

    def _learn(self, tenant: _Tenant, write: Write, version: int, now: float) -> None:
        other = tenant.history.learn(write, version, now)
        if other:
            text = f"{version} is the version of two writes, to {other.key.id} and {write.key.id}"
            self._break(write, Check.VERSION, now, text)

    def _ended(self, tenant: _Tenant, write: Write, now: float) -> None:
        tenant.pending.remove(write)
        self._judge(tenant)
        for unseen in self._unseen.values():
            puts = unseen.pop(write.key, [])
            recent = [put for put in puts if now - put.acknowledged < self._kept]
            if recent:
                unseen[write.key] = recent
        oldest = min([now, *(read.begin for read in tenant.waiting), *_begins(tenant)])
        tenant.history.forget(oldest - self._kept)

    def _judge(self, tenant: _Tenant) -> None:
        """Judge the reads that no write in progress can explain."""
        first = min(_begins(tenant), default=float("inf"))
        while tenant.waiting and tenant.waiting[0].end < first:
            read = tenant.waiting.popleft()
            for violation in violations(tenant.history, read, self._max_staleness):
                self._found(violation)

    @staticmethod
    def _going_back(tenant: _Tenant, read: Read) -> Iterator[Violation]:
        for part in read.parts:
            name = read.reader, part.key
            last = tenant.shown.get(name, 0)
            if not part.version:
                tenant.is_gone.add(name)
                continue
            if part.version < last or (part.version == last and name in tenant.is_gone):
                then = ", then no entry" if name in tenant.is_gone else ""
                text = f"{part.version} is shown after {last}{then}"
                yield Violation(Check.MONOTONIC, read.reader, part.key, read.end, text)
            tenant.is_gone.discard(name)
            tenant.shown[name] = part.version

    def _see(self, tenant: _Tenant, read: Read) -> None:
        """Measure how long the Puts took that are shown now."""
        unseen = self._unseen.get(read.reader, {})  # of some near caches nothing is measured
        for part in read.parts:
            puts = unseen.pop(part.key, [])
            for put in puts:
                if put.version <= part.version:
                    self._stale(max(0.0, read.end - put.acknowledged))
            # A Put that has ended again is never shown.
            over = part.version or tenant.history.last_end(part.key) if puts else 0
            later = [put for put in puts if put.version > over]
            if later:
                unseen[part.key] = later

    def _break(self, write: Write, check: Check, now: float, text: str) -> None:
        self._found(Violation(check, "writer", write.key, now, text))

    def _found(self, violation: Violation) -> None:
        self.violations[violation.check] += 1
        self._report(violation)


def _begins(tenant: _Tenant) -> Iterator[float]:
    return (write.begin for write in tenant.pending)

"""The fences of a call: by tenant, the newest revision that it has written, read or heard of.

A reference carries a fence forwards, from caller to callee. These bring it back: what a callee has
written or seen, it returns with its answer, and the caller's later reads and calls are at least as
new. The holder is shared by all tasks and threads of a call, so that each of them hears what any
other one has heard. Nothing of one call is visible in another.
"""

import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import TypeAlias

from relevo_client._context import digest
from relevo_client._context.entry import ContextEntry
from relevo_client._context.keys import ContextRef

MAX_TENANTS = 1024
"""The number of other tenants whose fences a call keeps. Beyond it, it forgets the one that rose
first: a copy that the near cache may use `max_staleness` later is as new anyway (N2)."""

Answer: TypeAlias = Callable[[], bool]
"""An answer that is outstanding: raises the fences if it has arrived, and returns whether it has.
"""

_raising = threading.RLock()


class Fences:
    """The fences of one call. It begins with the reference that the call carried, if it did.

    Safe for any number of threads. Fences only rise.
    """

    __slots__ = ("_others", "_outstanding", "_raised", "carried", "revision", "tenant_id")

    def __init__(self, ref: ContextRef | None = None) -> None:
        self.tenant_id = ref.key.tenant_id if ref is not None else ""
        """The tenant of the reference that the call carried; "" if it carried none."""
        self.carried = ref.revision if ref is not None else 0
        """The revision of that reference."""
        self.revision = self.carried
        """The fence for that tenant, without the answers that are outstanding."""
        self._others: dict[str, int] | None = None  # those of other tenants, by the time they rose
        self._outstanding: list[Answer] | None = None
        self._raised: tuple[ContextRef, ContextRef] | None = None

    def of(self, tenant_id: str) -> int:
        """The fence for a tenant; 0 for none."""
        if self._outstanding:
            self._hear_outstanding()
        return self.heard(tenant_id)

    def risen(self) -> int:
        """The fence for the tenant of the call's reference if it rose above that; else 0."""
        if self._outstanding:
            self._hear_outstanding()
        return self.revision if self.revision > self.carried else 0

    def raised(self, ref: ContextRef) -> ContextRef:
        """The reference with a revision that is at least the fence for its tenant."""
        # In the path of every call: of its own tenant, without a function of Python's.
        if self._outstanding:
            self._hear_outstanding()
        tenant_id = ref.key.tenant_id
        fence = self.revision if tenant_id == self.tenant_id else self.heard(tenant_id)
        if ref.revision >= fence:
            return ref
        # Many calls carry the same reference: it is raised once.
        of, raised = self._raised or (None, ref)
        if of is not ref or raised.revision != fence:
            raised = ContextRef(ref.key, fence, ref.signature)
            self._raised = ref, raised
        return raised

    def rise(self, tenant_id: str, revision: int) -> None:
        """Raise the fence for a tenant to a revision, if it is lower."""
        if revision <= self.heard(tenant_id):
            return
        with _raising:
            if tenant_id == self.tenant_id:
                if revision > self.revision:
                    self.revision = revision
                    self.rose()
                return
            others: dict[str, int] = dict(self._others or ())
            others[tenant_id] = max(revision, others.pop(tenant_id, 0))
            if len(others) > MAX_TENANTS:
                del others[next(iter(others))]
            self._others = others  # replaced and not changed: other threads are reading it

    def see(self, entry: ContextEntry) -> None:
        """Raise the fence to an entry that the call has read: its parts' newest version.

        A snapshot says nothing about its tenant's other entries, and raises nothing.
        """
        tenant_id = entry.key.tenant_id
        fence = self.revision if tenant_id == self.tenant_id else self.heard(tenant_id)
        if entry.revision > fence and not digest.is_digest(entry.key):
            newest = max(entry.version, *(layer.version for layer in entry.layers), 0)
            self.rise(tenant_id, newest)

    def expect(self, answer: Answer) -> None:
        """Ask this outstanding answer before each use of the fences, until it has arrived."""
        with _raising:
            self._outstanding = [*(self._outstanding or ()), answer]

    def rose(self) -> None:
        """Called each time that the fence for the tenant of the call's reference has risen."""

    def end(self) -> None:
        """Called at the end of a call that a handler serves."""

    def heard(self, tenant_id: str) -> int:
        """The fence for a tenant, without the answers that are outstanding; 0 for none."""
        if tenant_id == self.tenant_id:
            return self.revision
        return self._others.get(tenant_id, 0) if self._others else 0

    def _hear_outstanding(self) -> None:
        # In the lock: whoever asks meanwhile, in another thread, waits for what is heard here.
        with _raising:
            self._outstanding = [each for each in self._outstanding or () if not each()]


FENCES: ContextVar[Fences | None] = ContextVar("relevo_fences", default=None)
"""The fences of the current call; None outside of calls."""


def fence_of(tenant_id: str) -> int:
    """The current call's fence for a tenant; 0 for none, and outside of calls."""
    fences = FENCES.get()
    return fences.of(tenant_id) if fences else 0


def raise_fence(tenant_id: str, revision: int) -> None:
    """Raise the current call's fence for a tenant to a revision that it has written or heard of."""
    fences = FENCES.get()
    if fences:
        fences.rise(tenant_id, revision)


def fenced(ref: ContextRef) -> ContextRef:
    """The reference with a revision that is at least the current call's fence."""
    fences = FENCES.get()
    return fences.raised(ref) if fences else ref


def seen(entry: ContextEntry) -> ContextEntry:
    """The entry, which the current call has read: its fence is raised to it."""
    fences = FENCES.get()
    if fences:
        fences.see(entry)
    return entry

"""`Endings`: what a near cache has heard about the ends of snapshots, for riders of these."""

from collections import OrderedDict
from typing import TypeAlias

from relevo.v1.store_pb2 import Invalidated

from relevo_client._context import digest
from relevo_client._context.entry import ContextEntry
from relevo_client._context.keys import ContextKey
from relevo_client._context.riders import basis_of

_Name: TypeAlias = ContextKey | tuple[str, str]
"""The key of a snapshot, or a tenant and a scope, "" for all."""


class Endings:
    """The invalidations and absences of snapshots that the stream has told.

    It keeps those of the `max_entries` names that were heard last: as many as a cache has entries.
    """

    def __init__(self, max_entries: int) -> None:
        self._invalidated = _Latest(max_entries)
        self._absent = _Latest(max_entries)

    def __len__(self) -> int:
        return max(len(self._invalidated), len(self._absent))

    def record(self, invalidated: Invalidated, *, is_answer: bool) -> None:
        """Record a message of the stream.

        An event says that something was ended. An answer only says what the store has: the Put
        of a snapshot that came as a rider may still be on its way.
        """
        if invalidated.is_changed:
            return
        if invalidated.WhichOneof("target") == "tenant":
            tenant = invalidated.tenant
            if tenant.scope in ("", digest.SCOPE):
                self._invalidated.add((tenant.tenant_id, tenant.scope), invalidated.revision)
            return
        key = ContextKey.from_message(invalidated.key)
        if digest.is_digest(key):
            heard = self._absent if is_answer else self._invalidated
            heard.add(key, invalidated.revision)

    def have_ended(self, rider: ContextEntry) -> bool:
        """Whether a rider's snapshot is known to have ended.

        It was invalidated since it was made. Or the store once had it, as the rider has a version,
        and has had no such entry as of a later revision.
        """
        key, basis = rider.key, basis_of(rider)
        names: tuple[_Name, ...] = (key, (key.tenant_id, ""), (key.tenant_id, digest.SCOPE))
        if any(self._invalidated.get(name, 0) > basis for name in names):
            return True
        return 0 < rider.version <= self._absent.get(key, 0)


class _Latest(OrderedDict[_Name, int]):
    """The latest revision for each name; the names that were added first are dropped."""

    def __init__(self, max_entries: int) -> None:
        super().__init__()
        self._max_entries = max_entries

    def add(self, name: _Name, revision: int) -> None:
        """Record a revision of a name."""
        self[name] = max(revision, self.pop(name, 0))
        while len(self) > self._max_entries:
            self.popitem(last=False)

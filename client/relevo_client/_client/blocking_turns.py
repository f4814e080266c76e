# Generated from aio_turns.py by `make twins`: edit that file, not this one.
"""The turns of a blocking client: work that has the same context from beginning to end."""

from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta

from relevo_client._client.blocking_creation import Factory
from relevo_client._client.blocking_resolver import Resolver
from relevo_client._client.blocking_snapshots import Snapshots
from relevo_client._client.cached_reads import CachedReads, Copies, Lookup, Renewal
from relevo_client._client.reference_keys import KeySource
from relevo_client._context import digest
from relevo_client._context.current import use_context
from relevo_client._context.deadline import Deadline
from relevo_client._context.entry import ContextEntry
from relevo_client._context.errors import RelevoError, is_out_of_reach
from relevo_client._context.keys import ContextKey, ContextRef
from relevo_client._context.model import ExecutionContext
from relevo_client._context.sources import ContextSource
from relevo_client._store import requests
from relevo_client._store.leases import Lifetime
from relevo_client._telemetry.counts import COUNTS
from relevo_client._telemetry.outcomes import OK


class Turns(CachedReads):
    """The base of the blocking client: snapshots, and the turns that begin with them."""

    def __init__(
        self,
        copies: Copies | None,
        lookup: Lookup | None,
        renewal: Renewal,
        keys: KeySource | None,
        resolver: Resolver,
        snapshots: Snapshots,
    ) -> None:
        super().__init__(copies, lookup, renewal, keys)
        self._resolver = resolver
        self._snapshots = snapshots

    @contextmanager
    def turn(
        self,
        target: ContextKey | ContextRef | ContextEntry,
        *,
        begin: Factory | None = None,
        fresh: bool = False,
        ttl: timedelta | float | None = None,
        timeout: float | None = None,
        last_known: bool = False,
    ) -> Generator[ExecutionContext, None, None]:
        """Begin a turn: make a snapshot of a context current within a `with` block.

        For work that needs the same context from beginning to end, in all services that are
        called: a conversation's turn, or a job. The block's value is the context, composed with
        what it includes.

        If the context is in the cache, nothing is waited for: the calls of the turn carry the
        snapshot, and it is stored in the background. A snapshot that is too large to be carried,
        or whose reference the store has to sign, is stored first. Otherwise the store is asked
        once.

        Args:
            target: the key or the reference of a context, as for `resolve`. A snapshot stays as
                it is. Or an entry that was resolved, or is the last known one: the turn begins
                with it as it is.
            begin: creates the entry if it does not exist, as the factory of `get_or_create`.
            fresh: whether to ask the store and not the cache: the turn has every change that was
                acknowledged before.
            ttl: the time to live of a new snapshot, as a timedelta or in seconds; by default
                that of the scope `snapshot`.
            timeout: limits in seconds how long the turn takes to begin. It can only shorten the
                timeout of a single call.
            last_known: whether to begin with the last copy in the cache, marked as `is_stale`, if
                the store cannot answer now or is behind.

        Raises what `resolve` and `get_or_create` raise.

        """
        entry = self.turn_entry(
            target, begin=begin, fresh=fresh, ttl=ttl, timeout=timeout, last_known=last_known
        )
        with use_context(entry) as context:
            yield context

    def turn_entry(
        self,
        target: ContextKey | ContextRef | ContextEntry,
        *,
        begin: Factory | None = None,
        fresh: bool = False,
        ttl: timedelta | float | None = None,
        timeout: float | None = None,
        last_known: bool = False,
    ) -> ContextEntry:
        """The entry that `turn` makes current: the snapshot with which a turn begins."""
        deadline = Deadline.after(timeout)
        if isinstance(target, ContextEntry):
            return self._snapshots.begin(target, ttl, deadline)
        ref = requests.ref_of(target)
        try:
            return self._snapshot_of(ref, begin, ttl, deadline, fresh=fresh)
        except RelevoError as error:
            entry = self.last_known(ref) if last_known and is_out_of_reach(error) else None
            if entry is None:
                raise
        COUNTS.resolutions[ContextSource.LAST_KNOWN.value, OK] += 1
        return self._snapshots.begin(entry, ttl, deadline)

    def snapshot(
        self, entry: ContextEntry, *, ttl: timedelta | float | None = None
    ) -> ContextEntry:
        """Store the context of a resolved entry under a key of its own, never to be changed.

        The snapshot's reference always resolves to this context, and later changes are in later
        snapshots. Equal contexts share one snapshot, whoever creates it; a snapshot in the cache
        costs no call. `turn` makes one and does not wait until it is stored. `ttl` is a timedelta
        or seconds; the default is the one of the scope `snapshot`. Raises IncompleteContextError
        for an entry with includes that comes from `get`: it has no layers.
        """
        return self._snapshots.create(entry, ttl)

    def _snapshot_of(
        self,
        ref: ContextRef,
        begin: Factory | None,
        ttl: Lifetime,
        deadline: Deadline,
        *,
        fresh: bool,
    ) -> ContextEntry:
        source, absence = self._look_up(ref, fresh=fresh)
        if source is None:
            source = self._resolver.snapshot(
                ref, absence, deadline, fresh=fresh, ttl=ttl, begin=begin
            )
            if digest.is_digest(source.key):
                return self._snapshots.received(source)
        return self._snapshots.begin(source, ttl, deadline)

"""Compares some answers of the near cache with the store after the fact, in the background."""

from contextlib import suppress
from contextvars import Context
from functools import partial

from relevo_client._client.aio_compat import AsyncPause
from relevo_client._client.aio_flights import AsyncFlights
from relevo_client._client.sampling import (
    State,
    Verdict,
    absence_of,
    is_missing,
    is_stale,
    state_of,
    verdict,
)
from relevo_client._context.entry import ContextEntry
from relevo_client._context.errors import IncompleteContextError, NotFoundError, RelevoError
from relevo_client._context.keys import ContextKey, ContextRef
from relevo_client._context.log import log
from relevo_client._context.sources import ContextSource
from relevo_client._near_cache.aio import AsyncWatcher
from relevo_client._near_cache.options import CacheOptions
from relevo_client._store import requests
from relevo_client._store.aio import AsyncStore
from relevo_client._telemetry.counts import COUNTS


class AsyncSampler:
    """Checks every `sample_every`-th answer of a client's near cache, one at a time.

    An answer that is due while another one is checked is skipped: no caller waits. `sampling` says
    what the verdicts mean, and why none of them is a false alarm.
    """

    def __init__(self, store: AsyncStore, watcher: AsyncWatcher, options: CacheOptions) -> None:
        self._store = store
        self._watcher = watcher
        self._every = options.sample_every
        self._max_staleness = options.max_staleness
        self._answers = 0
        self._pause = AsyncPause()
        # In empty contexts, and at most one, as all have the same name.
        self._checks = AsyncFlights[str, None]("relevo-sample", ambient=Context)

    def resolve(self, ref: ContextRef) -> ContextEntry | None:
        """The watcher's answer for a reference, which is checked if it is its turn."""
        try:
            entry = self._watcher.resolve(ref)
        except NotFoundError:
            self._count(ref.key, absence_of(ref.key))
            raise
        if entry:
            self._count(ref.key, entry)
        return entry

    async def close(self) -> None:
        """End the check in progress."""
        self._pause.end()
        await self._checks.close()

    def _count(self, key: ContextKey, answer: ContextEntry | State) -> None:
        self._answers += 1
        if self._answers % self._every:
            return
        state = answer if isinstance(answer, State) else state_of(answer)
        with suppress(RuntimeError):  # there can be no more threads now
            self._checks.begin("check", partial(self._check, key, state))

    async def _check(self, key: ContextKey, answer: State) -> None:
        with suppress(RelevoError):  # the store cannot be asked now, or refuses: no verdict
            found = await self._verdict(key, answer)
            if found:
                COUNTS.sampler_checks[found] += 1
            if found in (Verdict.STALE, Verdict.WRONG):
                log.warning("the near cache's answer for %s was %s", key, found)

    async def _verdict(self, key: ContextKey, answer: State) -> Verdict | None:
        """The verdict on an answer; None if the client is closed before."""
        stored = await self._read(key)
        found = verdict(answer, stored)
        if found:
            return found
        if await self._pause.wait(self._max_staleness):
            return None
        later = self._look(key)
        if later and is_stale(answer, stored, later):
            return Verdict.STALE
        if later and is_missing(key, stored, later):
            again = await self._read(key)
            if again.versions.get(key) == stored.versions[key]:
                return Verdict.STALE
        return Verdict.CURRENT

    async def _read(self, key: ContextKey) -> State:
        """The store's state by a STRONG read that begins now. Raises RelevoError."""
        try:
            response = await self._store.get(requests.get_request(key, layers=True))
            return state_of(requests.resolved(response, ContextRef(key), None, ContextSource.STORE))
        except NotFoundError:
            return absence_of(key)
        except IncompleteContextError as error:
            return absence_of(*map(ContextKey.parse, error.missing))

    def _look(self, key: ContextKey) -> State | None:
        """The near cache's answer now, or None if it has none."""
        try:
            entry = self._watcher.resolve(ContextRef(key))
        except NotFoundError:
            return absence_of(key)
        return state_of(entry) if entry else None

"""Judges an answer of the near cache by what the store says afterwards: current, stale or wrong.

An answer is compared, part by part (the entry and its layers), with a STRONG read that begins after
it. A part that is absent has version 0. Let `v` be the answer's version of a part and `w` the
store's:

1. `0 < w < v` is wrong. Version `v` was written before the answer, so before the read began. The
   read shows that write or a later one (S2), and later writes have greater versions (S3).
2. `v = w` with different contexts is wrong: a version is one write (S3).
3. `v = w` with equal contexts is current.
4. Else `v` had ended when the read ended: a greater version has replaced it, or the entry is gone,
   or it was created. That is no fault: the answer may be `max_staleness` old (N2), and how old it
   is cannot be told, as the store has another clock. So the near cache is looked at again, at least
   `max_staleness` after the end of the read, by one clock. What it serves then was the store's
   state at some time after the end of the read (N2). So it is stale if it serves a state that had
   ended by then:

   - a version `u` with `0 < u < w`, as `w` had replaced it; or, if there was no entry (`w = 0`),
     `u = v`, as no version comes back (S3);
   - no entry, although `w > 0`, if a further STRONG read that begins after this look still shows
     `w`: then the entry was there all the time, as no version comes back.

   All else is current, and so is a near cache that serves nothing.

So no order of writes, answers, pushes, expiry and clocks makes an answer of a near cache and a
store that keep their promises stale or wrong. The reverse does not hold: an answer that was too old
and is not any more by the second look is not found.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from relevo_client._context.entry import ContextEntry
from relevo_client._context.keys import ContextKey
from relevo_client._context.model import ExecutionContext
from relevo_client._near_cache.state import ABSENT


class Verdict(StrEnum):
    """The result of a comparison; the values of `relevo.outcome`."""

    CURRENT = "current"
    STALE = "stale"
    WRONG = "wrong"


class State(NamedTuple):
    """An answer of the near cache or of the store."""

    versions: Mapping[ContextKey, int]
    """The version of each part, ABSENT for none. A part of which nothing is known is left out."""
    contexts: Mapping[ContextKey, ExecutionContext]
    """The contexts of the layers as they were put; of the entry, the composed one."""


def state_of(entry: ContextEntry) -> State:
    """The state that a resolved entry shows."""
    parts = (entry, *entry.layers)
    return State(
        {part.key: part.version for part in parts}, {part.key: part.context for part in parts}
    )


def absence_of(*keys: ContextKey) -> State:
    """The state in which there are no such entries; nothing is known of others."""
    return State(dict.fromkeys(keys, ABSENT), {})


def verdict(answer: State, stored: State) -> Verdict | None:
    """The verdict on an answer by the store's state after it; None if a part had ended."""
    is_over = False
    for key, version in answer.versions.items():
        now = stored.versions.get(key)
        if now is None:
            continue
        if ABSENT < now < version:
            return Verdict.WRONG
        is_over = is_over or now != version
    if _differ(answer, stored):
        return Verdict.WRONG
    return None if is_over else Verdict.CURRENT


def is_stale(answer: State, stored: State, later: State) -> bool:
    """Whether `later`, an answer at least `max_staleness` after `stored`, shows what had ended."""
    for key, now in stored.versions.items():
        version = later.versions.get(key, ABSENT)
        if ABSENT < version < now:
            return True
        if now == ABSENT and version != ABSENT and version == answer.versions.get(key):
            return True
    return False


def is_missing(key: ContextKey, stored: State, later: State) -> bool:
    """Whether `later` says that there is no entry, and the store had one before."""
    return later.versions.get(key) == ABSENT and stored.versions.get(key, ABSENT) != ABSENT


def _differ(answer: State, stored: State) -> bool:
    """Whether the same version of a part has two contexts."""
    same = {key for key, version in answer.versions.items() if stored.versions.get(key) == version}
    # A composed context shows the layers too: it is comparable only if all parts are the same.
    if len(same) < len(answer.versions):
        same.discard(next(iter(answer.versions)))
    return any(
        key in stored.contexts and answer.contexts[key] != stored.contexts[key]
        for key in same & answer.contexts.keys()
    )

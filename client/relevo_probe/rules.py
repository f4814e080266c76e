"""The promises that each answer has to keep, judged by what the probe has written.

Pure, and sound: a rule reports only what no order of the writes explains, whatever the network,
the servers and the clocks do. A write whose outcome is unknown may have taken effect at any time
after it was sent, or never. So a rule never builds on one, and always allows for one.

Each rule needs all writes that were sent before the end of the read to have ended.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from relevo_client import ContextKey

from relevo_probe.history import History, Part, Read, Write, last_of

FLOORED_SCOPE = "relevo_probe_floor"
"""The scope that probes end by floors. Its entries may be ended by another probe's."""


class Check(StrEnum):
    """The promises, by the names that metrics and reports give them."""

    AGE = "age"
    """A near cache shows an acknowledged write within `max_staleness` (N2)."""
    FENCE = "fence"
    """A read with `min_revision` R, or one after an own write R, shows nothing older (N1)."""
    RECENT = "recent"
    """A STRONG read shows every write that was acknowledged before it began (S2)."""
    MONOTONIC = "monotonic"
    """What a near cache shows of a key never goes back."""
    VERSION = "version"
    """A version is one write: none is used twice, and revisions only grow (S3)."""
    TORN = "torn"
    """All parts of a composition existed together, as of one revision (N9)."""
    LOST = "lost"
    """An acknowledged entry is there until it expires or is invalidated."""
    RESURRECTED = "resurrected"
    """An entry that was invalidated does not come back."""
    LATE_WRITE = "late_write"
    """A Put under a lease that has ended has no effect (S4)."""


class Violation(NamedTuple):
    """A broken promise."""

    check: Check
    reader: str
    """The name of what has shown it; "writer" for an acknowledgement."""
    key: ContextKey
    at: float
    """The time of the answer."""
    text: str
    """The observation, and the expected one."""


def checks_of(read: Read) -> Iterator[Check]:
    """The checks that apply to a read, each once."""
    yield Check.VERSION
    yield Check.LOST
    yield Check.RESURRECTED
    yield Check.LATE_WRITE
    if read.fence:
        yield Check.FENCE
    if len(read.parts) > 1:
        yield Check.TORN
    if read.source == "near_cache":
        yield Check.AGE
        yield Check.MONOTONIC
    elif read.source == "store":
        yield Check.RECENT


def violations(history: History, read: Read, max_staleness: float) -> Iterator[Violation]:
    """The promises that a read breaks, `monotonic` excepted, which needs the reads before it."""
    for part in read.parts:
        for check, text in (
            *_identity(history, read, part),
            *_recency(history, read, part, max_staleness),
        ):
            yield Violation(check, read.reader, part.key, read.end, text)
    for check, text in (*_whole(history, read), *_revision(read)):
        yield Violation(check, read.reader, read.parts[0].key, read.end, text)


Found = Iterator[tuple[Check, str]]


def _identity(history: History, read: Read, part: Part) -> Found:
    """The value is the one that was written with this version, by a Put that may have an effect."""
    if not part.version:
        return
    if part.shown is not None and part.shown != part.value:
        yield Check.TORN, f"the composition shows {part.shown}, its part {part.value}"
    write = history.with_value(part.value or 0)
    if write is None or write.key != part.key:
        if not history.is_forgotten(part.value or 0):
            yield Check.VERSION, f"{part.value} at {part.version} is nothing that was written"
        return
    if write.is_void:
        yield Check.LATE_WRITE, f"{part.value} was refused, or written under an ended lease"
    elif write.version != part.version:
        text = f"{part.value} is shown with {part.version}, and was written with {write.version}"
        yield Check.VERSION, text
    elif write.begin > read.end:
        yield Check.VERSION, f"{part.value} was shown before it was written"


def _recency(history: History, read: Read, part: Part, max_staleness: float) -> Found:
    """The entry is no older than it may be, and it is there unless it may have ended."""
    fence = read.fence
    if read.source == "near_cache":
        fence = max(fence, history.own_fence(read.reader, read.begin))
    known = list(history.of(part.key))
    needed = [(Check.FENCE, last_of(w for w in known if w.version <= fence))]
    if read.source == "near_cache":
        since = read.begin - max_staleness
        needed.append((Check.AGE, last_of(w for w in known if w.end <= since)))
    elif read.source == "store":
        needed.append((Check.RECENT, last_of(w for w in known if w.end <= read.begin)))
    for check, write in needed:
        if write is None or part.version >= write.version:
            continue
        text = (
            f"{part.version or 'no entry'} is shown, {write.version} was due ({check}); "
            f"{read.begin - write.end:.3f} s after its end"
        )
        if part.version:
            later = (w for w in known if part.version < w.version <= write.version)
            yield Check.RESURRECTED if any(w.ends_entries for w in later) else check, text
            return
        if not _may_be_absent(history, read, part, write):
            # A copy that says that there is no entry may be older than the write.
            yield Check.LOST if read.source == "store" else check, text
            return


def _may_be_absent(history: History, read: Read, part: Part, last: Write) -> bool:
    """Whether the entry may have ended after its last write that is due."""
    if last.ends_entries or part.key.scope == FLOORED_SCOPE:
        return True
    # Half of the time, so that a clock of the store that is set by some seconds is no violation.
    if read.end >= last.begin + last.ttl / 2:
        return True
    ends = [w for w in history.of(part.key) if w.ends_entries and w.version > last.version]
    ends += [w for w in history.unknown(part.key) if w.ends_entries]
    return any(w.begin <= read.end for w in ends)


def _whole(history: History, read: Read) -> Found:
    """There is a revision as of which the store had all parts."""
    parts = [part for part in read.parts if part.version]
    if len(parts) < 2:
        return
    newest = max(parts, key=lambda part: part.version)
    for part in parts:
        over = history.next_version(part)
        if over <= newest.version:
            ended = f"{part.key.id}@{part.version} ended at {over:.0f}"
            yield Check.TORN, f"{ended}, before {newest.key.id}@{newest.version}"
            return


def _revision(read: Read) -> Found:
    """The answer is as of the fence, and of each of its parts."""
    if not read.revision:
        return
    due = max(read.fence, *(part.version for part in read.parts))
    if read.revision < due:
        yield Check.FENCE, f"the answer is as of {read.revision}, before {due}"

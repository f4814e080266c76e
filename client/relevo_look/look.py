"""The look of Relevo: the words, their order and the colours in which its faces show a thing.

Plain data, which imports nothing: terminals, pictures and pages show the same thing alike. No
meaning is told by a colour alone; there is a word or a mark as well. The colours of pictures and
pages are those of Okabe and Ito, which people can tell apart whatever colours they see.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Ansi = Literal["black", "blue", "cyan", "green", "magenta", "red", "white", "yellow"]
"""A colour of terminals. Their users choose how it looks."""
Theme = Literal["light", "dark"]
"""The two backgrounds of pages."""


@dataclass(frozen=True)
class Look:
    """The look of one thing."""

    word: str
    """Its name: a short noun without an article."""
    meaning: str
    """Its meaning, for legends and tooltips: a phrase of one line."""
    colour: str
    """Its colour on a light background, as `#rrggbb`."""
    ansi: Ansi
    """Its colour on a terminal."""
    on_dark: str = ""
    """Its colour on a dark background, as `#rrggbb`; "" if it is the same."""

    def on(self, theme: Theme) -> str:
        """The colour on the background of a theme."""
        return (theme == "dark" and self.on_dark) or self.colour


SOURCES: Mapping[str, Look] = {
    "near_cache": Look("near cache", "this process's own copy, proven current", "#009e73", "green"),
    "rider": Look("rider", "a snapshot that came with the call", "#56b4e9", "cyan"),
    "store": Look("store", "the store was asked", "#e69f00", "yellow"),
    "loader": Look("created", "this service created it in the store", "#cc79a7",
                   "magenta"),
    "last_known": Look("last known", "an old copy: the store could not be asked", "#d55e00",
                       "red"),
    "fallback": Look("fallback", "a function of the service's policy", "#000000", "red",
                     on_dark="#ffffff"),
}  # fmt: skip
"""The sources of contexts, by the value of `ContextEntry.source`: the nearest first."""

MODES: Mapping[str, Look] = {
    "none": Look("each asks", "each service asks the configuration's owner, each time", "#808080",
                 "white"),
    "redis-json": Look("JSON in Redis", "one JSON text for each conversation, read by each service",
                       "#d55e00", "yellow"),
    "relevo": Look("Relevo", "one context, current in every service", "#0072b2", "blue",
                   on_dark="#5ab4ee"),
}  # fmt: skip
"""Three ways to have a configuration, by the modes of `relevo demo --platform`."""

CALLS: Mapping[str, Look] = {
    "management": Look("owner", "calls to agent management, which owns the configuration",
                       "#d55e00", "red"),
    "store": Look("ContextStore", "calls of services to the ContextStore", "#56b4e9", "cyan"),
    "redis": Look("Redis", "commands to Redis, of services or of the ContextStore", "#f0e442",
                  "yellow"),
}  # fmt: skip
"""Whom a configuration costs a call: the dearest first."""

LEVELS: Mapping[str, Look] = {
    "good": Look("good", "as it should be", "#007a5a", "green", on_dark="#3fcf9f"),
    "pending": Look("pending", "on its way to be good", "#0072b2", "blue", on_dark="#5ab4ee"),
    "warning": Look("warning", "works, but needs attention", "#8f6200", "yellow",
                    on_dark="#f0b429"),
    "bad": Look("bad", "does not work", "#b3420a", "red", on_dark="#ff8a5c"),
    "idle": Look("idle", "not in use, or not known", "#5f6670", "white", on_dark="#a3abb6"),
}  # fmt: skip
"""How well a thing is: every state of `STATES` has one of these colours. As texts they have a
contrast of 4.5 to 1 on the backgrounds of pages."""

LEVEL_MARKS: Mapping[str, str] = {
    "good": "✓", "pending": "…", "warning": "!", "bad": "✗", "idle": "-",
}  # fmt: skip
"""The signs that tell levels apart without colours."""


@dataclass(frozen=True)
class State:
    """A state of a thing that runs or is kept."""

    word: str
    """Its name: an adjective or a participle."""
    meaning: str
    """Its meaning, for legends and tooltips: a phrase of one line."""
    level: str
    """The level of the thing: a key of `LEVELS`."""


STATES: Mapping[str, State] = {
    "running": State("running", "the process runs", "good"),
    "current": State("current", "the newest version, proven", "good"),
    "starting": State("starting", "not ready yet", "pending"),
    "stopping": State("stopping", "ends what it has begun", "pending"),
    "behind": State("behind", "newer versions are on their way", "warning"),
    "unproven": State("unproven", "may be old: no proof that it is current", "warning"),
    "outdated": State("outdated", "an older version than the newest", "bad"),
    "failed": State("failed", "ended with an error", "bad"),
    "unreachable": State("unreachable", "cannot be asked", "bad"),
    "killed": State("killed", "was ended at once, by a signal", "bad"),
    "broken": State("broken", "the promise was broken", "bad"),
    "stopped": State("stopped", "does not run", "idle"),
}  # fmt: skip
"""States of processes, copies and promises, the best first."""

CHANGED, BROKEN, KEPT, NEXT = "▲", "✗", "✓", "→"
"""Marks: of a value that changed, of a promise that was broken or kept, and from an old value to
its new one."""
CHANGED_ANSI: Ansi = "yellow"
BROKEN_ANSI: Ansi = "red"
KEPT_ANSI: Ansi = "green"
"""The marks' colours on a terminal."""

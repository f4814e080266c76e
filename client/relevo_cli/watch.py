"""`relevo watch`: prints the values of keys as they change, as a service sees them."""

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from relevo_client import (
    ContextClient,
    ContextEntry,
    ContextKey,
    IncompleteContextError,
    InvalidFieldError,
    NotFoundError,
    RelevoError,
    UnavailableError,
)
from relevo_look import units

from relevo_cli import connection, keys, numbers, output, terminal
from relevo_cli.diff import Difference, Sign, differences
from relevo_cli.documents import Json
from relevo_cli.failures import FAILED, OK, USAGE, fail, reported
from relevo_cli.terminal import Colour

_INTERVAL = 0.05
"""Seconds between two looks at the near cache. Changes within that are shown as one."""
_PAUSE = 0.5
"""Seconds until the store is asked again if it cannot be reached, or a layer is missing."""
_COLOURS: dict[Sign, Colour] = {"+": "green", "-": "red", "~": "yellow"}

Event = Literal["value", "absent", "incomplete", "lost"]


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `relevo watch KEY...`."""
    parser.description = (
        "Print the composed context of each key, then what changes in it: + added, - removed, "
        "~ replaced. The keys are watched by a near cache, as services watch them. If the server "
        "goes away, the command waits for it. It ends with Ctrl-C."
    )
    parser.add_argument("entries", nargs="+", type=keys.key, metavar="KEY", help=keys.HELP)
    parser.add_argument(
        "--count",
        type=numbers.whole(1),
        metavar="N",
        help="end after N events of all keys together",
    )
    output.add_option(parser, "table")
    connection.add_options(parser)
    parser.set_defaults(run=_run)


@dataclass(frozen=True)
class Seen:
    """A service's view of a key at one moment."""

    event: Event
    text: str = ""
    """Why there is no value."""
    entry: ContextEntry | None = None

    def is_like(self, other: "Seen") -> bool:
        """Whether both are the same, so that there is nothing to show."""
        return (self.event, self.text, self._versions) == (other.event, other.text, other._versions)

    @property
    def _versions(self) -> Sequence[tuple[ContextKey, int]]:
        parts = (self.entry, *self.entry.layers) if self.entry else ()
        return [(each.key, each.version) for each in parts]


class Watched:
    """A key, and what was shown of it last."""

    def __init__(self, key: ContextKey) -> None:
        self.key = key
        self._last: Seen | None = None
        self._context: Json = {}

    def shown(self, now: Seen) -> "Shown | None":
        """The lines to show for a new look, or None if nothing has changed."""
        if self._last and self._last.is_like(now):
            return None
        is_first = self._last is None
        self._last = now
        if now.event in {"incomplete", "lost"}:  # the next value is compared with what was shown
            return Shown(self.key, now, is_first)
        before, self._context = self._context, context_of(now)
        return Shown(self.key, now, is_first, differences(before, self._context), self._context)


@dataclass(frozen=True)
class Shown:
    """One event of a key."""

    key: ContextKey
    seen: Seen
    is_first: bool
    changes: Sequence[Difference] = ()
    context: Json = None

    def document(self) -> Json:
        """The event as JSON."""
        entry = self.seen.entry
        document: dict[str, Json] = {
            "time": units.time(units.now(), milliseconds=True),
            "key": self.key.text,
            "event": self.seen.event,
        }
        if self.seen.text:
            document["text"] = self.seen.text
        if entry:
            document |= {"version": str(entry.version), "revision": str(entry.revision)}
            document["context"] = self.context
        document["changes"] = [each.document for each in self.changes]
        return document

    def lines(self) -> Iterator[str]:
        """The event as text."""
        entry = self.seen.entry
        state = f"version {entry.version}" if entry else f"{self.seen.event}: {self.seen.text}"
        time = units.time(units.now(), milliseconds=True)
        yield terminal.painted(f"{time}  {self.key}  {terminal.printable(state)}", "bold")
        for change in self.changes:
            text = terminal.printable(change.text)
            if self.is_first:
                yield f"  {text.removeprefix('+ ')}"
            else:
                yield f"  {terminal.painted(text, _COLOURS[change.sign])}"


def context_of(seen: Seen) -> Json:
    """The composed context without times and without fields that are empty."""
    if seen.entry is None:
        return {}
    fields: dict[str, Json] = seen.entry.context.to_cache_dict()
    return {
        name: value
        for name, value in fields.items()
        if name not in {"created_at", "updated_at"} and value not in ("", {}, None)
    }


@reported
def _run(options: argparse.Namespace) -> int:
    try:
        target = connection.target_of(options)
        arguments = connection.client_arguments(options, target)
        with ContextClient(target, timeout=options.timeout, **arguments) as client:
            watched = [Watched(ContextKey(*each)) for each in options.entries]
            for number, shown in enumerate(_events(client, watched), start=1):
                output.print_event(options, shown.document, shown.lines())
                if number == options.count:
                    break
    except InvalidFieldError as error:
        return fail(USAGE, str(error))
    except RelevoError as error:
        return fail(FAILED, f"{error.reason}: {error}")
    return OK


def _events(client: ContextClient, watched: Sequence[Watched]) -> Iterator[Shown]:
    while True:
        pause = _INTERVAL
        for each in watched:
            now = look(client, each.key)
            if now.event in {"incomplete", "lost"}:
                pause = _PAUSE
            shown = each.shown(now)
            if shown:
                yield shown
        time.sleep(pause)


def look(client: ContextClient, key: ContextKey) -> Seen:
    """A service's view now: from the near cache, else from the store."""
    try:
        return Seen("value", entry=client.peek(key) or client.resolve(key))
    except NotFoundError:
        return Seen("absent", "there is no entry")
    except IncompleteContextError as error:
        return Seen("incomplete", str(error))
    except UnavailableError as error:
        return Seen("lost", f"the store cannot be reached ({error.reason}); trying again")

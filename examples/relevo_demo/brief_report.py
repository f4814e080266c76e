"""`BriefReport`: one conversation on two screens, in which what changed stands out."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from relevo_cli import terminal
from relevo_client import ContextRef
from relevo_look import look, units
from rich.bar import Bar
from rich.console import Console, RenderableType
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from relevo_demo.console import console
from relevo_demo.files import Change, Script
from relevo_demo.hints import HINTS, command
from relevo_demo.processes import Platform
from relevo_demo.report import text_of
from relevo_demo.services import CHAIN
from relevo_demo.turns import Seen, Turn

_LONGEST = 20
"""The most columns of an old or a new value."""
_BAR = 24


class BriefReport:
    """The `Report` of one conversation: for each turn, a line for each service of the chain."""

    def __init__(self, to: Console | None = None) -> None:
        self._console = to or console()
        self._is_changed = False

    def opening(self, script: Script) -> None:
        """Print what is about to happen."""
        turns = script.change.after_round
        self._print(
            Text.assemble(
                ("Relevo demo", "bold"),
                f": four gRPC services, one context. {turns} turns, a change, and then the last "
                "question again.",
            )
        )

    def platform(self, platform: Platform, puts: int) -> None:
        """Print the processes, and what the owner has put."""
        chain = f" {look.NEXT} ".join(
            f"{service.name} {_port(service.address)}" for service in platform.services
        )
        self._print(
            f"Agent management has put {puts} entries, of agents and collections, into "
            f"{platform.store_url} ({_port(platform.store.address)}).",
            f"The chain, each a process: {chain}.",
            "The language model is a stand-in: it answers with sentences of the passages found.",
        )

    def turn(self, turn: Turn, before: Turn | None) -> None:
        """Print a turn: what was said, and for each service its context and what changed."""
        is_repeated = before is not None and before.text == turn.text
        title = f"Turn {turn.number}"
        if before is None:
            title += f" · {turn.tenant_id} / {turn.agent_id} · the conversation begins"
        elif self._is_changed:
            title += " · after the change" + (", the same question" if is_repeated else "")
        self._rule(f"{title} · {units.duration(turn.seconds)}")
        said = Table.grid(padding=(0, 2))
        said.add_column(no_wrap=True, style="bold")
        said.add_column()
        said.add_row("user", turn.text)
        if before and is_repeated:
            said.add_row("before", Text(before.answer, "dim"))
        said.add_row("now" if is_repeated else turn.agent_id, turn.answer)
        self._print(said, _chain(turn, before))

    def change(self, change: Change, put: ContextRef, seconds: float) -> None:
        """Print the Put that changes an agent."""
        self._is_changed = True
        self._rule(f"One Put · {put.key}", look.CHANGED_ANSI)
        self._print(
            f"Agent management changes {len(change.paths)} settings of the agent. "
            f"Acknowledged after {units.duration(seconds)}.",
            f"It calls no service, and nothing is started again. {look.CHANGED} marks what each "
            "service works with from now on.",
        )

    def summary(self, turns: Sequence[Turn], puts: int, change: Change) -> None:
        """Print the summary of a demo in which every promise was kept."""
        seen = [each for turn in turns for each in turn.seen]
        self._rule("Summary", look.KEPT_ANSI)
        kept = Table.grid(padding=(0, 1))
        keys, new = len({each.key for each in seen}), len(change.paths)
        for name, text in {
            "One context": f"{keys} key in {len(seen)} handlers of {len(CHAIN)} processes, and no "
            "service was behind its caller.",
            "One Put": f"the very next turn used all {new} new settings, in {len(CHAIN)} services.",
            "One owner": f"it has put {puts} entries, and no service has asked it for one.",
        }.items():
            kept.add_row(Text(look.KEPT, look.KEPT_ANSI), f"{name}: {text}")
        self._print(
            kept,
            Text(
                "Where handlers had their context from, and how long they waited for it (median):"
            ),
            _sources(seen),
        )
        self._rule("Try next")
        hints = Table.grid(padding=(0, 2))
        hints.add_column(no_wrap=True, style="bold")
        for hint in HINTS:
            hints.add_row(f"{command()} {hint.arguments}", hint.meaning)
        self._print(hints)

    def problems(self, problems: Sequence[str]) -> None:
        """Print the promises that were not kept."""
        self._rule("Not as promised", look.BROKEN_ANSI)
        self._print(*(f"{look.BROKEN} {problem}" for problem in problems))

    def _rule(self, title: str, style: str = "none") -> None:
        self._print("", Rule(Text(title, "bold"), align="left", style=style))

    def _print(self, *lines: RenderableType) -> None:
        for each in lines:
            self._console.print(each)


def _chain(turn: Turn, before: Turn | None) -> Table:
    """A row for each service: its context's source, the time until it had it, and what changed."""
    names = [
        f"{'  ' * (depth - 1)}└ {seen.service}" if depth else seen.service
        for depth, seen in enumerate(turn.seen)
    ]
    table = Table.grid(padding=(0, 2))
    # The columns of all turns stand below each other.
    table.add_column(no_wrap=True, min_width=max(map(len, names)) + 2)
    table.add_column(no_wrap=True, min_width=max(len(each.word) for each in look.SOURCES.values()))
    table.add_column(no_wrap=True, min_width=len("100 µs"), justify="right")
    table.add_column(ratio=1)
    earlier = {seen.service: seen for seen in before.seen} if before else {}
    for name, seen in zip(names, turn.seen, strict=True):
        source = look.SOURCES[seen.context_source]
        settings = _settings(seen, earlier.get(seen.service))
        table.add_row(
            f"  {name}", Text(source.word, source.ansi), units.duration(seen.wait), settings
        )
    return table


def _settings(seen: Seen, before: Seen | None) -> Text:
    """What a service used: all of it in a first turn, then what differs from the turn before."""
    lines: Iterable[Text]
    if before is None:
        used = (f"{_name(path)} {text_of(each.value)}" for path, each in seen.settings.items())
        lines = [Text(", ".join(used))]
    else:
        lines = [
            Text.assemble(
                (f"{look.CHANGED} ", look.CHANGED_ANSI),
                f"{_name(path)} ",
                (_short(before.settings[path].value), "dim"),
                f" {look.NEXT} ",
                (_short(setting.value), f"bold {look.CHANGED_ANSI}"),
            )
            for path, setting in seen.settings.items()
            if setting != before.settings.get(path)
        ] or [Text(f"the same {len(seen.settings)} settings", "dim")]
    return Text("\n", no_wrap=True, overflow="ellipsis").join(lines)


def _sources(seen: Sequence[Seen]) -> Table:
    waits: Mapping[str, list[float]] = defaultdict(list)
    for each in seen:
        waits[each.context_source].append(each.wait)
    table = Table.grid(padding=(0, 2))
    for justify in ("left", "right", "left", "right"):
        table.add_column(no_wrap=True, justify=justify)
    table.add_column(ratio=1)
    for name, source in look.SOURCES.items():
        if own := waits.get(name):
            table.add_row(
                Text(f"  {source.word}", source.ansi),
                str(len(own)),
                Bar(len(seen), 0, len(own), width=_BAR, color=source.ansi),
                units.duration(median(own)),
                source.meaning,
            )
    return table


def _name(path: str) -> str:
    return path.partition(".")[2]


def _short(value: object) -> str:
    return terminal.cut(text_of(value), _LONGEST)


def _port(address: str) -> str:
    return f":{address.rpartition(':')[2]}"

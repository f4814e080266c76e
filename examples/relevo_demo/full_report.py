"""`FullReport`: every conversation and every setting, best at 100 columns or more."""

from collections.abc import Sequence
from typing import Any

from relevo_client import ContextRef
from relevo_look import look, units
from rich import box
from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from relevo_demo.console import console
from relevo_demo.files import Change, Script
from relevo_demo.processes import Platform
from relevo_demo.report import text_of
from relevo_demo.services import CHAIN
from relevo_demo.turns import Seen, Turn

_RATIOS = 30, 25, 36  # of the column widths; the longest setting and key fit in 100 columns
_SHORT = 24  # the most characters of an old and a new value that share a line


class FullReport:
    """The `Report` with all details: a panel for each turn."""

    def __init__(self) -> None:
        self._console = console()

    def opening(self, script: Script) -> None:
        """Print what is about to happen."""
        tenants = {conversation.tenant_id for conversation in script.conversations}
        self._console.print(
            Text.assemble(
                ("Relevo demo", "bold"),
                f": four gRPC services, {len(script.conversations)} conversations of "
                f"{len(tenants)} tenants, and one change.",
            )
        )

    def platform(self, platform: Platform, puts: int) -> None:
        """Print the processes and the number of published entries."""
        table = Table("process", "pid", "address", box=box.SIMPLE_HEAD)
        for process in (platform.store, *platform.services):
            table.add_row(process.name, str(process.pid), process.address)
        self._console.print(
            f"On {platform.store_url}. Each service calls the next one.",
            table,
            f"Agent management has put {puts} entries, one for each agent and each collection.\n"
            "The language model is a stand-in: it answers with sentences of the passages found.\n",
            sep="\n",
        )

    def turn(self, turn: Turn, before: Turn | None) -> None:
        """Print a turn, with the settings marked that changed since the conversation's last one."""
        said = Table.grid(padding=(0, 1))
        said.add_column(style="bold cyan", no_wrap=True)
        said.add_column()
        said.add_row("user", Text(turn.text))
        said.add_row(turn.agent_id, Text(turn.answer))
        said.add_row()
        table = Table(box=box.SIMPLE_HEAD, expand=True, show_edge=False, pad_edge=False)
        headings = "service, settings it used", "as of revision, value", "key, where it is from"
        for heading, ratio in zip(headings, _RATIOS, strict=True):
            table.add_column(heading, ratio=ratio, overflow="fold")
        earlier = {seen.service: seen for seen in before.seen} if before else {}
        for seen in turn.seen:
            _add_service(table, seen, earlier.get(seen.service, seen))
        agent, took = f"{turn.tenant_id} / {turn.agent_id}", units.duration(turn.seconds)
        title = f"Turn {turn.number} · {agent} · {turn.conversation_id} · {took}"
        self._print(title, Group(said, table))

    def change(self, change: Change, put: ContextRef, seconds: float) -> None:
        """Print the Put that changes an agent."""
        table = Table("setting", "new value", box=box.SIMPLE_HEAD)
        for path, value in change.paths.items():
            table.add_row(Text(path), Text(text_of(value)))
        head = Text.assemble("Agent management changes ", (str(put.key), "bold"), " with this Put:")
        took = units.duration(seconds)
        title = f"One Put · revision {put.revision} · acknowledged after {took}"
        self._print(title, Group(head, table), style=look.CHANGED_ANSI)

    def summary(self, turns: Sequence[Turn], puts: int, change: Change) -> None:
        """Print the summary of a demo in which every promise was kept."""
        conversations = {(turn.tenant_id, turn.conversation_id) for turn in turns}
        agent = f"{change.tenant_id} / {change.agent_id}"
        others = {(turn.tenant_id, turn.agent_id) for turn in turns} - {
            (change.tenant_id, change.agent_id)
        }
        table = Table.grid(padding=(0, 3))
        # The orchestrator sets the revision of a turn, so it reads the store, not a cache.
        caches = [seen for seen in turns[-1].seen if seen.service != CHAIN[0]]
        for name, figure in {
            "turns": f"{len(turns)} in {len(conversations)} conversations of "
            f"{len({turn.tenant_id for turn in turns})} tenants",
            "services": f"{len(CHAIN)} in each turn, each in a process of its own",
            "Puts by agent management": f"{puts - 1} at the start, 1 change",
            "keys per turn": ", ".join(map(str, sorted({len(turn.keys) for turn in turns}))),
            "revisions per turn": ", ".join(
                map(str, sorted({len(set(turn.revisions)) for turn in turns}))
            ),
            "fence": f"held in {sum(turn.fenced for turn in turns)} of {len(turns)} turns",
            "new settings after the change": f"{len(change.paths)}, used by all services",
            "contexts that were local": ", ".join(
                f"{seen.cache.hits} of {seen.cache.hits + seen.cache.misses} in {seen.service}"
                for seen in caches
            ),
            "changes that came by themselves": ", ".join(
                f"{seen.cache.pushes} to {seen.service}" for seen in caches
            ),
        }.items():
            table.add_row(name, Text(figure, "bold"))
        conclusion = (
            "In every turn all services worked with the same context: one key, and no service was "
            f"behind its caller. One Put changed {agent}; its next turn used the new settings in "
            f"every service, while the conversations of the other {len(others)} agents went on "
            "as they were."
        )
        self._print("Summary", Group(table, "", conclusion), style=look.KEPT_ANSI)

    def problems(self, problems: Sequence[str]) -> None:
        """Print the promises that were not kept."""
        lines = [Text(f"{look.BROKEN} {problem}") for problem in problems]
        self._print("Not as promised", Group(*lines), style=look.BROKEN_ANSI)

    def _print(self, title: str, content: Group, *, style: str = "none") -> None:
        self._console.print(
            Panel(content, title=Text(title, "bold"), title_align="left", border_style=style)
        )


def _add_service(table: Table, seen: Seen, before: Seen) -> None:
    """Add a service's rows to the table: its context, then the settings that it used."""
    table.add_row(f"{seen.service} · pid {seen.pid}", str(seen.revision), seen.key, style="bold")
    source = look.SOURCES[seen.context_source]
    found = Text.assemble((source.word, source.ansi), f", {units.duration(seen.wait)}")
    table.add_row("  its context", found, source.meaning)
    for path, setting in seen.settings.items():
        old = before.settings.get(path, setting)
        value = (
            _changed(old.value, setting.value) if old != setting else Text(text_of(setting.value))
        )
        # Long sentences are truncated; the configuration's file has them in full.
        value.no_wrap = isinstance(setting.value, str)
        value.overflow = "ellipsis"
        table.add_row(Text(f"  {path}"), value, setting.source)


def _changed(old: Any, new: Any) -> Text:
    texts = text_of(old), text_of(new)
    arrow = f"\n{look.NEXT} " if sum(map(len, texts)) > _SHORT else f" {look.NEXT} "
    return Text.assemble((texts[0], "dim"), (arrow + texts[1], f"bold {look.CHANGED_ANSI}"))

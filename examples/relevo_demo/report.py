"""The demo's printed report, readable with and without a terminal, best at 100 columns or more."""

import json
from collections.abc import Sequence
from typing import Any

from relevo_client import ContextRef
from rich import box
from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from relevo_demo.console import console
from relevo_demo.files import Change
from relevo_demo.processes import Platform
from relevo_demo.services import CHAIN
from relevo_demo.turns import Seen, Turn

_RATIOS = 30, 25, 36  # of the column widths; the longest setting and key fit in 100 columns
_SHORT = 24  # the most characters of an old and a new value that share a line


class Report:
    """Prints the demo's events to standard output as they happen."""

    def __init__(self) -> None:
        self._console = console()

    def platform(self, platform: Platform, puts: int) -> None:
        """Print the processes and the number of published entries."""
        table = Table("process", "pid", "address", box=box.SIMPLE_HEAD)
        for process in (platform.store, *platform.services):
            table.add_row(process.name, str(process.pid), process.address)
        self._console.print(
            Text.assemble(
                ("Relevo demo", "bold"),
                f" on {platform.store_url}: four gRPC services, each calls the next one.",
            ),
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
        title = f"Turn {turn.number} · {turn.tenant_id} / {turn.agent_id} · {turn.conversation_id}"
        self._print(title, Group(said, table))

    def change(self, change: Change, put: ContextRef) -> None:
        """Print the Put that changes an agent."""
        table = Table("setting", "new value", box=box.SIMPLE_HEAD)
        for path, value in change.paths.items():
            table.add_row(Text(path), Text(_text(value)))
        head = Text.assemble("Agent management changes ", (str(put.key), "bold"), " with this Put:")
        self._print(f"One Put · revision {put.revision}", Group(head, table), style="yellow")

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
        self._print("Summary", Group(table, "", conclusion), style="green")

    def problems(self, problems: Sequence[str]) -> None:
        """Print the promises that were not kept."""
        lines = [Text(f"✗ {problem}") for problem in problems]
        self._print("Not as promised", Group(*lines), style="red")

    def _print(self, title: str, content: Group, *, style: str = "none") -> None:
        self._console.print(
            Panel(content, title=Text(title, "bold"), title_align="left", border_style=style)
        )


def _add_service(table: Table, seen: Seen, before: Seen) -> None:
    """Add a service's rows to the table: its context, then the settings that it used."""
    table.add_row(f"{seen.service} · pid {seen.pid}", str(seen.revision), seen.key, style="bold")
    for path, setting in seen.settings.items():
        old = before.settings.get(path, setting)
        value = _changed(old.value, setting.value) if old != setting else Text(_text(setting.value))
        # Long sentences are truncated; the configuration's file has them in full.
        value.no_wrap = isinstance(setting.value, str)
        value.overflow = "ellipsis"
        table.add_row(Text(f"  {path}"), value, setting.source)


def _changed(old: Any, new: Any) -> Text:
    texts = _text(old), _text(new)
    arrow = "\n→ " if sum(map(len, texts)) > _SHORT else " → "
    return Text.assemble((texts[0], "dim"), (arrow + texts[1], "bold yellow"))


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    text = json.dumps(value, sort_keys=True, separators=(", ", " "))
    return text.strip("{}").replace('"', "")

"""The screen of `relevo top`."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import grpc
from relevo.admin.v1.admin_pb2 import ConnectedClient
from relevo_look import units
from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.widgets import DataTable, Footer, Static

from relevo_cli.clients import COLUMNS, row
from relevo_cli.failures import explain
from relevo_cli.ranking import ORDERS, Order, ranked
from relevo_cli.terminal import printable


class Screen(App[None]):
    """A table of clients that is renewed every `interval` seconds. `ask` gets them, and blocks."""

    BINDINGS: ClassVar[list[Any]] = [
        Binding("q", "quit", "quit"),
        *(Binding(order.key, f"order({i})", order.title) for i, order in enumerate(ORDERS)),
    ]

    def __init__(
        self, ask: Callable[[], Sequence[ConnectedClient]], order: Order, interval: float
    ) -> None:
        super().__init__()
        self._ask = ask
        self._order = order
        self._interval = interval
        self._clients: Sequence[ConnectedClient] = ()
        self._rows: DataTable[Text] = DataTable(cursor_type="row")
        self._head = Static("")

    def compose(self) -> ComposeResult:
        """Compose the screen. Textual calls this."""
        yield self._head
        yield self._rows
        yield Footer()

    def on_mount(self) -> None:
        """Begin. Textual calls this."""
        self._rows.add_columns(*(column.title for column in COLUMNS))
        self.run_worker(self._renew(), exclusive=True)

    def action_order(self, number: int) -> None:
        """Choose an order. Textual calls this for its key."""
        self._order = ORDERS[number]
        self._show("")

    async def _renew(self) -> None:
        while True:
            problem = ""
            try:
                self._clients = await asyncio.to_thread(self._ask)
            except grpc.RpcError as error:
                problem = explain(error)[1]
            self._show(problem)
            await asyncio.sleep(self._interval)

    def _show(self, problem: str) -> None:
        text = f"{len(self._clients)} clients, {self._order.title}  {units.time(units.now())}"
        self._head.update(Text(printable(f"{text}  {problem}".rstrip())))
        at = self._rows.cursor_row
        self._rows.clear()
        for client in ranked(self._clients, self._order):
            self._rows.add_row(*(Text(printable(cell)) for cell in row(client)))
        self._rows.move_cursor(row=at)

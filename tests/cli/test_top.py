"""`relevo top`: a live table on a terminal, whose order keys choose."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable

import pytest
from relevo.admin.v1.admin_pb2 import ConnectedClient, ListClientsRequest, ListClientsResponse
from relevo.v1.store_pb2 import CacheReport, ClientInfo
from support.servers.fake_admin import fake_admin
from support.servers.outcome import Relevo

pytestmark = pytest.mark.processes


def clients(_: ListClientsRequest) -> ListClientsResponse:
    """One client with more keys, and one with more hits."""
    many_keys = ConnectedClient(client=ClientInfo(service_name="many-keys"), subscriptions=9)
    many_hits = ConnectedClient(client=ClientInfo(service_name="many-hits"), subscriptions=1)
    many_hits.cache.CopyFrom(CacheReport(hits=7))
    return ListClientsResponse(clients=[many_keys, many_hits])


@pytest.mark.parametrize(
    "order, first", [("keys", "many-keys"), ("hits", "many-hits"), ("lag", "many-keys")]
)
def test_once(offline: Relevo, order: str, first: str) -> None:
    """`--once` prints a table in the order of `--sort`, and ends."""
    with fake_admin(ListClients=clients) as address:
        outcome = offline("top", "--once", "--sort", order, "--target", address)
    assert outcome.code == 0
    assert outcome.lines[1].split()[0] == first


class Terminal:
    """A terminal of 200 columns with a command on it."""

    def __init__(self, *words: str) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 200, 0, 0))
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "200", "LINES": "30"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "relevo_cli", *words],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment,
            start_new_session=True,
        )
        os.close(slave)

    def press(self, key: str) -> None:
        """Press a key."""
        os.write(self._master, key.encode())

    def until(self, condition: Callable[[str], object], within: float = 20.0) -> None:
        """Read what is drawn from now on, until it fulfils a condition."""
        drawn, end = "", time.monotonic() + within
        while not condition(re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", " ", drawn)):
            assert time.monotonic() < end, drawn
            if select.select([self._master], [], [], 0.1)[0]:
                drawn += os.read(self._master, 1 << 16).decode(errors="replace")

    def close(self) -> None:
        """End the command."""
        self.process.kill()
        self.process.wait()
        os.close(self._master)


def in_order(*names: str) -> Callable[[str], object]:
    """Whether these names are drawn in this order."""
    return re.compile(".*".join(map(re.escape, names)), re.DOTALL).search


def test_keys_choose_the_order() -> None:
    """The screen has a row for each client; a key sorts it by another column; q ends it."""
    with fake_admin(ListClients=clients) as address:
        terminal = Terminal("top", "--sort", "keys", "--interval", "60", "--target", address)
        try:
            terminal.until(in_order("by keys", "SERVICE", "many-keys", "many-hits"))
            terminal.press("h")
            terminal.until(in_order("by hits", "many-hits", "many-keys"))
            terminal.press("q")
            assert terminal.process.wait(10) == 0
        finally:
            terminal.close()

"""Real `relevo serve` processes."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


class RelevoProcess:
    """A running server. `log` has what it printed so far, an object for each line."""

    def __init__(self, process: "subprocess.Popen[str]", address: str) -> None:
        self.process = process
        self.address = address

    def signal(self, number: signal.Signals) -> None:
        """Send the server a signal."""
        self.process.send_signal(number)


@contextmanager
def relevo_serve(*flags: str) -> Iterator[RelevoProcess]:
    """A server on a free port, ended with SIGTERM, and SIGKILL if that does not help."""
    process = subprocess.Popen(
        [sys.executable, "-m", "relevo_server", "serve", "--listen", "127.0.0.1:0", *flags],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        address = ""
        for line in process.stderr:
            event = json.loads(line)
            if event["event"] == "server.started":
                address = event["address"]
                break
        assert address, f"the server ended with {process.wait()}"
        yield RelevoProcess(process, address)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stderr.close()

"""The `relevo` command as real processes."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

COMMAND = (sys.executable, "-m", "relevo_server")


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed."""
        return json.loads(self.out)

    @property
    def message(self) -> str:
        """The one line that says what went wrong: the last one, after a usage."""
        assert "Traceback" not in self.err, self.err
        lines = self.err.splitlines()
        explained = [line for line in lines if line.startswith("relevo")]
        assert len(explained) == 1, self.err
        assert lines[-1] == explained[0], self.err
        return explained[0]


def relevo(
    *arguments: str, stdin: str | bytes = "", environment: Mapping[str, str] | None = None
) -> Outcome:
    """Run `relevo` to its end. `environment` is added to the tests' own."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        input=stdin.encode() if isinstance(stdin, str) else stdin,
        capture_output=True,
        timeout=30,
        check=False,
        env={**os.environ, **(environment or {})},
    )
    return Outcome(done.returncode, done.stdout.decode(), done.stderr.decode())


def interrupted(*arguments: str) -> Outcome:
    """Run `relevo` without any input until it waits for some, then interrupt it."""
    read, write = os.pipe()
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        stdin=read,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(read)
    try:
        # A pipe takes 64 KiB before it blocks; this much is gone only when it is read.
        with os.fdopen(write, "wb", buffering=0) as pipe:
            pipe.write(b" " * (1 << 16))
            pipe.write(b" ")
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=30)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        process.wait()
    return Outcome(process.returncode, out, err)

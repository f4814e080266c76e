"""Runs the `relevo` command as real processes."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress

from support.servers.outcome import Outcome
from support.waiting import until

COMMAND = (sys.executable, "-m", "relevo_server")


def relevo(
    *arguments: str, stdin: str | bytes = "", environment: Mapping[str, str] | None = None
) -> Outcome:
    """Run `relevo` to its end. `environment` is added to the tests' environment."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        input=stdin.encode() if isinstance(stdin, str) else stdin,
        capture_output=True,
        timeout=60,
        check=False,
        env={**os.environ, **(environment or {})},
    )
    return Outcome(done.returncode, done.stdout.decode(), done.stderr.decode())


def interrupted(*arguments: str) -> Outcome:
    """Run `relevo` with its input left open, and interrupt it while it waits for the end."""
    # If the tests run in the background, their children would ignore SIGINT.
    program = (
        "import signal, sys; from relevo_cli import main; "
        "signal.signal(signal.SIGINT, signal.default_int_handler); sys.exit(main())"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
    ) as process:
        assert process.stdin
        # A pipe holds 64 KiB: the last byte of this is written once the rest was read.
        process.stdin.write(b" " * (1 << 16))
        process.stdin.write(b" ")
        try:
            # Repeated, in case the signal came between two of Python's checks for signals.
            until(lambda: _ends(process), what="the end of the command")
        finally:
            process.kill()
        assert process.stdout
        assert process.stderr
        out, err = process.stdout.read(), process.stderr.read()
    return Outcome(process.returncode, out.decode(), err.decode())


def _ends(process: "subprocess.Popen[bytes]") -> bool:
    process.send_signal(signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        process.wait(1)
    return process.returncode is not None


def broken_pipe(*arguments: str) -> Outcome:
    """Run `relevo` with its output closed."""
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write) as nobody:
        done = subprocess.run(
            [*COMMAND, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=nobody,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    return Outcome(done.returncode, "", done.stderr)

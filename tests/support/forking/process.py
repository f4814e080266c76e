"""Starts processes by a fork, with the interface of `subprocess.Popen` as far as tests need it."""

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from tempfile import TemporaryFile

from support.forking.forker import Job


class ForkedProcess:
    """`python -m module`, forked from a process that has its imports: it starts in milliseconds.

    Args:
        module: the module that it runs.
        arguments: its arguments.
        environment: the program's environment variables, by default those of this process. The
            interpreter does not read them.
        imports: modules that are imported once for all processes, and before they start.
        stdin: the file descriptor of its standard input; None for an empty one.
        stdout: that of its standard output; None for none.
        stderr: that of its standard error; this process's own by default.

    """

    def __init__(
        self,
        module: str,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        imports: Sequence[str] = (),
        stdin: int | None = None,
        stdout: int | None = None,
        stderr: int = 2,
    ) -> None:
        job = Job(
            module,
            list(arguments),
            dict(os.environ if environment is None else environment),
            os.getcwd(),  # noqa: PTH109 - as Popen does
            list(imports),
        )
        self._ended, status = os.pipe()
        with open(os.devnull, "r+b") as nothing:  # noqa: PTH123
            nowhere = nothing.fileno()
            streams = [nowhere if each is None else each for each in (stdin, stdout, stderr)]
            try:
                self.pid = _forker().fork(job, [*streams, status])
            finally:
                os.close(status)
        self.returncode: int | None = None
        self._lock = threading.Lock()

    def __del__(self) -> None:
        os.close(self._ended)

    def poll(self, seconds: float = 0.0) -> int | None:
        """The exit code, negative for a signal; None if the process runs after some seconds."""
        if self.returncode is None and select.select([self._ended], [], [], seconds)[0]:
            with self._lock:
                if self.returncode is None:
                    self.returncode = int(os.read(self._ended, 16))
        return self.returncode

    def wait(self, timeout: float) -> int:
        """Wait for the end, and return the exit code. Raises subprocess.TimeoutExpired."""
        code = self.poll(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout)
        return code

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, unless the process has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)


def completed(
    module: str,
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    imports: Sequence[str] = (),
    stdin: bytes = b"",
    timeout: float,
) -> "subprocess.CompletedProcess[str]":
    """Run a `ForkedProcess` to its end. Returns its exit code, and its output as text.

    After `timeout` seconds it is killed, and the call raises subprocess.TimeoutExpired.
    """
    with TemporaryFile() as given, TemporaryFile() as out, TemporaryFile() as err:
        given.write(stdin)
        given.seek(0)
        process = ForkedProcess(
            *(module, *arguments),
            environment=environment,
            imports=imports,
            stdin=given.fileno(),
            stdout=out.fileno(),
            stderr=err.fileno(),
        )
        try:
            code = process.wait(timeout)
        finally:
            process.kill()
        for each in (out, err):
            each.seek(0)
        return subprocess.CompletedProcess(
            (module, *arguments), code, out.read().decode(), err.read().decode()
        )


class _Forker:
    """The forking process, one for all tests of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._control, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "support.forking.forker", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )

    def fork(self, job: Job, files: Sequence[int]) -> int:
        """Fork a process with these files, and return its id."""
        with self._lock:
            message = memoryview(json.dumps(job).encode() + b"\n")
            sent = socket.send_fds(self._control, [message], files)
            self._control.sendall(message[sent:])
            return int(self._control.recv(16))

    def close(self) -> None:
        """End it, together with what still runs."""
        self._control.close()
        self._process.wait()


@cache
def _forker() -> _Forker:
    forker = _Forker()
    atexit.register(forker.close)
    return forker

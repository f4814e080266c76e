"""A program that forks: `python -m support.forking.forker FILENO`.

It imports what its children need once. Each child then runs a module as `python -m` does. FILENO
is a socket; `support.forking.process` has its other end, and says what a child is.

It stays without threads, without gRPC's own state and without an event loop, so a child
begins as a new interpreter does.
"""

import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
from contextlib import suppress
from typing import NamedTuple

_CHUNK = 1 << 16
_STREAMS = 3


class Job(NamedTuple):
    """What a child runs."""

    module: str
    arguments: list[str]
    environment: dict[str, str]
    directory: str
    imports: list[str]
    """Modules that are imported before the fork, once for all children."""


class _Forker:
    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._status: dict[int, int] = {}
        """The file that awaits the exit code of each child."""

    def serve(self) -> Job | None:
        """Fork children. Returns a child's job in the child; None in the parent, at its end."""
        woken, waker = socket.socketpair()
        for each in (woken, waker):
            each.setblocking(False)
        signal.set_wakeup_fd(waker.fileno())
        signal.signal(signal.SIGCHLD, _wake)
        # A terminal's Ctrl-C is for the tests, which end their processes in order.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        while True:
            ready, _, _ = select.select([self._control, woken], [], [])
            if woken in ready:
                woken.recv(1024)
                self._reap()
            if self._control in ready:
                message, files, _, _ = socket.recv_fds(self._control, _CHUNK, _STREAMS + 1)
                if not message:
                    self._end()
                    return None
                while not message.endswith(b"\n"):
                    message += self._control.recv(_CHUNK)
                job = Job(*json.loads(message))
                if self._fork(job, files):
                    for each in (self._control, woken, waker):
                        each.close()
                    return job

    def _fork(self, job: Job, files: list[int]) -> bool:
        """Fork a child. Returns whether this is the child."""
        for name in job.imports:
            importlib.import_module(name)
        gc.freeze()  # a child's garbage collection does not look at, and so copy, all of this
        *streams, status = files
        pid = os.fork()
        if pid:
            for file in streams:
                os.close(file)
            self._status[pid] = status
            self._control.send(f"{pid}\n".encode())
            return False
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for target, file in enumerate(streams):
            os.dup2(file, target)
        for file in (*files, *self._status.values()):
            os.close(file)
        return True

    def _reap(self) -> None:
        """Tell the exit codes of children that have ended."""
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return
                file = self._status.pop(pid)
                with suppress(BrokenPipeError):  # nobody wants to know
                    os.write(file, str(os.waitstatus_to_exitcode(status)).encode())
                os.close(file)

    def _end(self) -> None:
        """Kill the children that the tests have left behind."""
        for pid in self._status:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _wake(_number: int, _frame: object) -> None:
    """Handle SIGCHLD: without a handler, Python would not write to the wake-up file."""


def _become(job: Job) -> None:
    os.environ.clear()
    os.environ.update(job.environment)
    os.chdir(job.directory)
    sys.path[0] = job.directory
    sys.argv = [job.module, *job.arguments]
    # What was imported runs again, as the program.
    program = sys.modules.get(job.module)
    sys.modules.pop(f"{job.module}.__main__" if hasattr(program, "__path__") else job.module, None)
    gc.unfreeze()
    runpy.run_module(job.module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _job = _Forker(socket.socket(fileno=int(sys.argv[1]))).serve()
    if _job:
        _become(_job)

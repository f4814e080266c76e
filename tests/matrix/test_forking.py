"""Processes that are forked for tests behave as those that an interpreter is started for."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import psutil
import pytest
from support.forking.process import ForkedProcess, completed
from support.waiting import until

SECONDS = 20


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A program that a test writes into its own directory, and runs there."""
    monkeypatch.chdir(tmp_path)
    return f"program_{tmp_path.name}"


def write(module: str, program: str) -> None:
    """Write the program."""
    Path(f"{module}.py").write_text(dedent(program))


def test_a_program_has_what_it_was_given(module: str) -> None:
    """Arguments, added variables, the directory, the streams and the exit code are its own."""
    write(
        module,
        """
        import os, sys, threading
        if __name__ == "__main__":
            print(__name__, sys.argv[1:], os.environ["OWN"], os.getcwd(), sys.stdin.read())
            print(threading.active_count(), file=sys.stderr)
            sys.exit(7)
        """,
    )
    given = {"OWN": "x"}
    done = completed(
        module, "a", "b c", environment={**os.environ, **given}, stdin=b"in", timeout=SECONDS
    )
    assert (done.returncode, done.stdout) == (7, f"__main__ ['a', 'b c'] x {Path.cwd()} in\n")
    assert done.stderr == "1\n"
    assert "OWN" not in os.environ
    again = completed(module, "d", environment={"OWN": "y"}, timeout=SECONDS)
    assert again.stdout == f"__main__ ['d'] y {Path.cwd()} \n"


def test_a_program_that_fails(module: str) -> None:
    """An exception is on standard error, and the exit code is 1."""
    write(module, "if __name__ == '__main__': raise ValueError('why')")
    done = completed(module, timeout=SECONDS)
    assert done.returncode == 1
    assert done.stderr.endswith("ValueError: why\n")


def test_a_program_that_does_not_end(module: str) -> None:
    """It is killed after its time."""
    write(module, "if __name__ == '__main__': import signal; print(1); signal.pause()")
    with pytest.raises(subprocess.TimeoutExpired) as caught:
        completed(module, timeout=0.1)
    until(lambda: not psutil.pid_exists(int(caught.value.cmd)), what="its end")


def test_signals(module: str) -> None:
    """A program can be stopped, continued and killed; its end is told once, and remembered."""
    write(module, "if __name__ == '__main__': import signal; signal.pause()")
    process = ForkedProcess(module)
    status = psutil.Process(process.pid).status
    assert process.poll() is None
    process.send_signal(signal.SIGSTOP)
    until(lambda: status() == psutil.STATUS_STOPPED)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.01)
    process.send_signal(signal.SIGCONT)
    process.kill()
    assert process.wait(SECONDS) == process.poll() == -signal.SIGKILL
    process.kill()  # nobody has the signal


@pytest.mark.parametrize("how", [[], ["killed"]], ids=["they end", "they are killed"])
def test_nothing_is_left_behind(tmp_path: Path, how: list[str]) -> None:
    """If tests end without ending a process, or are killed, it is killed too."""
    program = dedent(
        """
        import os, signal, sys
        from support.forking.process import ForkedProcess, completed
        print(ForkedProcess("support.clients.looking", "127.0.0.1:1", "a:b:c", "1").pid, flush=True)
        if sys.argv[1:]:
            os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    command = [sys.executable, "-c", program, *how]
    with (tmp_path / "out").open("w+") as out:  # a pipe would stay open
        subprocess.run(command, stdout=out, stderr=subprocess.DEVNULL, check=False, timeout=60)
        out.seek(0)
        pid = int(out.readline())
    until(lambda: not psutil.pid_exists(pid), what="its end")

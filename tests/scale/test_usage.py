"""What `make scale` measures of a process."""

import json
import os
import subprocess
import sys
import time

import pytest

from benchmarks.scale import usage

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="a clock of Linux")


@on_linux
def test_cpu_is_that_of_the_process() -> None:
    """The CPU seconds are those that the process itself sees, to the nanosecond."""
    before, seen = time.process_time(), usage.cpu_seconds(os.getpid())
    assert before <= seen <= time.process_time()
    while usage.cpu_seconds(os.getpid()) <= seen:
        pass
    assert seen < usage.cpu_seconds(os.getpid()) <= time.process_time()


@on_linux
def test_cpu_of_a_process_that_waits() -> None:
    """A process that waits uses no CPU, whatever others do."""
    words = [sys.executable, "-c", "print(flush=True); input()"]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe) as process:
        try:
            assert process.stdout
            process.stdout.readline()  # from now on it waits
            begun = usage.cpu_seconds(process.pid)
            end = time.process_time() + 0.05
            while time.process_time() < end:
                pass
            assert usage.cpu_seconds(process.pid) - begun < 0.05
        finally:
            process.kill()


@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
@pytest.mark.parametrize(
    "soft, hard, expected", [(100, 1000, (500, 1000)), (100, 3000, (1000, 1500))]
)
def test_streams_need_files(soft: int, hard: int, expected: tuple[int, int]) -> None:
    """The limit of open files is raised as far as needed, and says how many streams it allows."""
    program = (
        "import json, resource; from benchmarks.scale import usage;"
        f"resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}));"
        "fits = usage.streams_that_fit(1000);"
        "print(json.dumps([fits, resource.getrlimit(resource.RLIMIT_NOFILE)[0]]))"
    )
    done = subprocess.check_output([sys.executable, "-c", program], text=True)
    assert tuple(json.loads(done)) == expected

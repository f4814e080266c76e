"""Whether the demo is interrupted, killed or fails, it leaves no process behind."""

import os
import signal
import socket
import subprocess
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from support.redis.process import RedisProcess
from support.servers.command import COMMAND, relevo
from support.servers.outcome import complaints
from support.waiting import until


def has_ended(process: psutil.Process) -> bool:
    """Whether a process has ended, even if it was not reaped yet."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@contextmanager
def midway(store: str = "memory://") -> Generator[tuple[psutil.Popen, list[psutil.Process], Any]]:
    """A demo in its turns, which cannot end before its output is read.

    Yields the process, all processes that it started, and the rest of its output.
    """
    ours, its = socket.socketpair()
    its.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    process = psutil.Popen(
        [*COMMAND, "demo", "--all", "--store", store],
        stdout=its.fileno(),
        stderr=subprocess.PIPE,
        text=True,
    )
    its.close()
    started: list[psutil.Process] = []
    try:
        with ours, ours.makefile(encoding="utf-8") as output:
            assert any("Turn 1" in line for line in output)
            started = process.children(recursive=True)
            yield process, started, output
    finally:
        for each in [process, *started]:  # only if a test failed
            with suppress(psutil.NoSuchProcess):
                each.kill()
        process.communicate(timeout=10)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_nothing_is_left_behind_by_an_interrupted_demo(number: signal.Signals) -> None:
    """An interrupted demo ends all its processes first, and exits with 130."""
    with midway() as (process, started, output):
        assert len(started) == 5
        process.send_signal(number)
        rest = output.read()
        _, errors = process.communicate(timeout=30)
        assert all(map(has_ended, started))
    assert (process.returncode, complaints(errors)) == (130, ["relevo demo: interrupted"])
    assert "Summary" not in rest


def test_nothing_is_left_behind_by_a_killed_demo() -> None:
    """The processes of a killed demo end by themselves."""
    with midway() as (process, started, _):
        assert len(started) == 5
        process.kill()
        until(lambda: all(map(has_ended, started)), what="the end of the demo's processes")


def test_a_service_that_dies_is_an_error() -> None:
    """If a turn fails, the demo reports why, ends all processes, and exits with 1."""
    with midway() as (process, started, output):
        (query,) = (p for p in started if "relevo_demo.services.query" in p.cmdline())
        query.kill()
        rest = output.read()
        _, errors = process.communicate(timeout=30)
        assert all(map(has_ended, started))
    assert process.returncode == 1
    (error,) = complaints(errors)
    assert error.startswith("relevo demo: UNAVAILABLE: ")
    assert "Summary" not in rest


def test_a_store_that_goes_away_is_an_error() -> None:
    """If Redis stops midway, the demo reports it, ends all processes, and exits with 1."""
    with RedisProcess() as redis, midway(redis.url) as (process, started, output):
        redis.stop()
        rest = output.read()
        _, errors = process.communicate(timeout=30)
        assert all(map(has_ended, started))
    assert process.returncode == 1
    assert errors.splitlines()[-1].startswith("relevo demo: UNAVAILABLE: ")
    assert "Traceback" not in errors
    assert "Summary" not in rest


def test_a_store_that_cannot_be_reached_is_an_error() -> None:
    """Without a Redis at its redis:// URL, the demo reports it, and exits with 1."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # the port is taken, but nothing listens
        done = relevo("demo", "--store", f"redis://127.0.0.1:{nobody.getsockname()[1]}")
    assert done.code == 1
    assert done.message == "relevo demo: the store cannot be reached"


def test_a_wrong_store_is_an_error() -> None:
    """The error of `relevo serve` about a URL is passed on, and the demo exits with 1."""
    done = relevo("demo", "--store", "postgres://db/contexts")
    assert done.code == 1
    assert "store: must begin with" in done.err.replace("Value error, ", "")
    assert done.message == "relevo demo: store ended with 2"


SABOTAGE = '''
"""Breaks what one service sees, in whatever Python process this is imported."""
import sys
from dataclasses import replace

if "relevo_demo.services.{service}" in sys.orig_argv:
    from relevo_client import AsyncContextClient, ContextKey

    resolve, peek = AsyncContextClient.resolve, AsyncContextClient.peek
    kept = {{}}

    def broken(entry):
        kept.setdefault(entry.key, entry)
        return {result}

    async def broken_resolve(self, target, *, timeout=None):
        return broken(await resolve(self, target, timeout=timeout))

    def broken_peek(self, target):
        entry = peek(self, target)
        return entry and broken(entry)

    AsyncContextClient.resolve, AsyncContextClient.peek = broken_resolve, broken_peek
'''


@pytest.mark.parametrize(
    "service,result,noticed",
    [
        ("query", "replace(entry, context=kept[entry.key].context)", "query did not use the new"),
        ("execution", "replace(entry, revision=entry.revision - 1)", "was behind its caller"),
        (
            "embedding",
            "replace(entry, key=ContextKey('conversation', entry.key.tenant_id, 'other'))",
            "services worked with different keys",
        ),
    ],
    ids=["stale", "behind", "elsewhere"],
)
def test_a_chain_that_does_not_agree_is_an_error(
    tmp_path: Path, service: str, result: str, noticed: str
) -> None:
    """If one service has another context, the demo reports it, and exits with 1."""
    code = SABOTAGE.format(service=service, result=result)
    (tmp_path / "sitecustomize.py").write_text(code, "utf-8")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = relevo("demo", environment={"PYTHONPATH": path})
    assert done.code == 1
    assert noticed in done.out
    assert "Summary" not in done.out

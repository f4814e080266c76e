"""`relevo demo --platform --serve`: from the command to the page, and to its end."""

import asyncio
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import cast

import httpx
import psutil
import pytest
from support.platform.nooble import has_ended
from support.servers.command import relevo
from support.waiting import until_async

COMMAND = (sys.executable, "-m", "relevo_cli", "demo", "--platform", "--serve")
LONG = 120.0


@asynccontextmanager
async def command(*options: str) -> AsyncGenerator[tuple[Process, str]]:
    """The running command, and its page's URL."""
    process = await asyncio.create_subprocess_exec(*COMMAND, *options, stdout=PIPE, stderr=PIPE)
    try:
        async with asyncio.timeout(LONG):
            line = await cast("asyncio.StreamReader", process.stdout).readline()
        yield process, line.decode().split()[-1]
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.mark.timeout(300)
async def test_the_page_is_there_at_once_and_ends_with_the_command() -> None:
    """The page answers while the platform starts; SIGTERM ends all processes meanwhile."""
    async with command("--port", "0") as (process, url):
        async with httpx.AsyncClient(follow_redirects=True, timeout=LONG) as client:
            answer = await client.get(url)
        assert answer.status_code == 200
        assert "The platform of this mode starts" in answer.text
        started = psutil.Process(process.pid)
        await until_async(lambda: started.children(recursive=True), within=LONG)
        children = started.children(recursive=True)
        os.kill(process.pid, signal.SIGTERM)
        async with asyncio.timeout(LONG):
            out, _ = await process.communicate()
        assert process.returncode == 0, out
        await until_async(lambda: all(has_ended(each.pid) for each in children), within=LONG)


@pytest.mark.timeout(300)
async def test_a_port_that_is_taken() -> None:
    """The command says which one, and what helps."""
    async with command("--port", "0") as (_, url):
        port = re.findall(r":(\d+)/", url)[0]
        outcome = await asyncio.to_thread(relevo, "demo", "--platform", "--serve", "--port", port)
    assert outcome.code == 1
    assert f"port {port}" in outcome.err
    assert "--port" in outcome.err


@pytest.mark.parametrize(
    "arguments, problem",
    [
        (["--serve"], "--serve: only with --platform"),
        (["--platform", "--port", "1"], "--port: only with --serve"),
        (["--platform", "--open"], "--open: only with --serve"),
        (["--platform", "--serve", "--laps", "2"], "--laps: not with --serve"),
        (["--platform", "--serve", "--json", "x.json"], "--json: not with --serve"),
        (["--platform", "--serve", "--port", "many"], "--port"),
    ],
)
def test_options(arguments: list[str], problem: str) -> None:
    """Options of the page, of the measured run and of the demo do not go together."""
    outcome = relevo("demo", *arguments)
    assert outcome.code == 2
    assert problem in outcome.err

"""The first steps of docs/observability.md, as the page tells them."""

import re
import subprocess
import sys

import httpx
from support.network.ports import ReservedPort
from support.pages import Name, Page
from support.prometheus.binaries import commands
from support.servers.process import relevo_serve
from support.telemetry.table import PAGE

STEPS = "See the cache's effect in five minutes"
USE = """
import asyncio, sys
from relevo_client import AsyncContextClient, ContextKey, ExecutionContext

async def serve():
    async with AsyncContextClient(sys.argv[1]) as contexts:
        key = ContextKey("agent_config", "acme", "support")
        await contexts.put(key, ExecutionContext(llm_config={"model": "m-1"}))
        while contexts.peek(key) is None:
            await asyncio.sleep(0.01)
        for _ in range(1000):
            await contexts.resolve(key)
        print("done", flush=True)
        sys.stdin.read()

asyncio.run(serve())
"""


def steps() -> str:
    """The section of the page."""
    return PAGE.read_text("utf-8").partition(f"## {STEPS}\n")[2].partition("\n## ")[0]


def samples(address: str, name: str) -> list[str]:
    """The lines of an endpoint that a `grep` finds."""
    text = httpx.get(f"http://{address}/metrics").raise_for_status().text
    return [line for line in text.splitlines() if name in line and not line.startswith("#")]


def test_the_steps() -> None:
    """The store's flag and the service's code serve what the page greps."""
    code = Page("observability.md").blocks[Name(STEPS)]
    [flag] = re.findall(r"relevo serve (--metrics-listen) 127.0.0.1:9464", steps())
    [grepped] = re.findall(r"curl -s http://127.0.0.1:9465/metrics \| grep (\w+)", steps())
    assert "start_http_server(9465, " in code
    with ReservedPort() as port, relevo_serve(flag, "127.0.0.1:0") as store:
        program = code.replace("9465", str(port.number)) + USE
        service = subprocess.Popen(
            [sys.executable, "-c", program, store.address],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with service:
            try:
                assert service.stdout
                assert service.stdout.readline() == "done\n"
                found = samples(f"127.0.0.1:{port.number}", grepped)
                of_store = samples(store.metrics_address, "rpc_server_call_duration_seconds_count")
            finally:
                service.kill()
    counts = dict(re.findall(r'relevo_cache_result="(\w+)"[^}]*} ([\d.]+)', "\n".join(found)))
    assert float(counts["hit"]) >= 1000
    assert float(counts["miss"]) < 10
    assert any('rpc_method="relevo.v1.ContextStore/Put"' in line for line in of_store)


def test_promtool_accepts_the_configuration() -> None:
    """The configuration for one machine is valid, and scrapes what the page starts."""
    [file] = re.findall(r"prometheus --config.file=(\S+)", steps())
    path = PAGE.parents[1] / file
    done = subprocess.run(
        [*commands()["promtool"], "check", "config", str(path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(re.findall(r'"(127[\d.]+:\d+)"', path.read_text("utf-8"))) == set(
        re.findall(r"127[\d.]+:946\d", steps())
    )

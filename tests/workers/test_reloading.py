"""Changed settings of a server of several workers: all of them take these over, or none."""

import os
import signal
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from grpc import StatusCode, aio
from relevo.v1 import store_pb2_grpc
from relevo.v1.store_pb2 import GetRequest, PutRequest
from support.clients.access import bearer
from support.clients.calls import TIMEOUT, context, key
from support.failures import failure_of
from support.redis.process import RedisProcess
from support.servers.process import RelevoProcess
from support.servers.workers import connected_to_all, pids_of, workers_serve
from support.waiting import until_async


class ServerWithFile:
    """A server of two workers, and the file of its settings."""

    def __init__(self, server: RelevoProcess, file: Path) -> None:
        self.server = server
        self.file = file

    def write(self, token: str, more: str = "") -> None:
        """Replace the file, as tools of deployment do: with this token, or with none."""
        new = self.file.with_suffix(".new")
        new.write_text(more + (_principal(token) if token else ""))
        new.replace(self.file)

    async def until_told(self, event: str, times: int = 1) -> dict[str, Any]:
        """Wait until an event is in the log so many times, and return the last one."""
        await until_async(lambda: len(self.server.events(event)) >= times, within=60, what=event)
        assert len(self.server.events(event)) == times
        return self.server.events(event)[-1]

    async def codes(self, token: str, of: str) -> set[StatusCode]:
        """How a Get of nothing with this token ends, at each worker. `of` is a token that works."""
        async with connected_to_all(self.server, token=of) as channels:
            return {await _code(channel, token) for channel in channels.values()}


def _principal(token: str) -> str:
    digest = sha256(token.encode()).hexdigest()
    return (
        f'[[principals]]\nname = "{token}"\ntenants = ["*"]\n'
        f'roles = ["read", "write", "admin"]\ntoken_sha256 = "{digest}"\n'
    )


async def _code(channel: aio.Channel, token: str) -> StatusCode:
    stub: Any = store_pb2_grpc.ContextStoreStub(channel)
    call = stub.Get(GetRequest(key=key("none")), metadata=bearer(token), timeout=TIMEOUT)
    return (await failure_of(call)).code


@pytest.fixture
def running(own_redis: RedisProcess, tmp_path: Path) -> Iterator[ServerWithFile]:
    """A server that knows the token "first"."""
    file = tmp_path / "relevo.toml"
    file.write_text(_principal("first"))
    flags = ("--store", own_redis.url, "--config", str(file), "--reload-interval", "0.05")
    with workers_serve(*flags) as server:
        yield ServerWithFile(server, file)


async def test_all_or_none(running: ServerWithFile) -> None:
    """Every worker takes changed settings over, and none takes over what one refuses."""
    assert await running.codes("first", of="first") == {StatusCode.NOT_FOUND}
    running.write("second", 'log_level = "debug"\nmax_context_bytes = 500\n')
    reloaded = await running.until_told("settings.reloaded")
    assert reloaded["needs_restart"] == ["max_context_bytes"]
    assert "worker" not in reloaded
    assert await running.codes("second", of="second") == {StatusCode.NOT_FOUND}
    assert await running.codes("first", of="second") == {StatusCode.UNAUTHENTICATED}

    broken = running.file.with_name("tls.pem")
    broken.write_text("no certificate")
    tls = f'tls_certificate = "{broken}"\ntls_key = "{broken}"\n'
    for times, (token, more, problem) in enumerate(
        (
            ("third", "nope = 1\n", "nope: is not a setting"),  # the supervisor refuses it
            ("third", tls, "tls_certificate, tls_key: "),  # a worker does
            ("", "", "principals: cannot end up empty"),
        ),
        start=1,
    ):
        running.write(token, more)
        refused = await running.until_told("settings.refused", times)
        assert refused["problems"][0].startswith(problem)
    assert await running.codes("second", of="second") == {StatusCode.NOT_FOUND}
    reloads = running.server.events("audit.reload")
    assert ["reason" in each for each in reloads] == [False, False, True, True, True]

    # A worker that is replaced begins with what is in force, and no more than that.
    victim = min(pids_of(running.server))
    os.kill(victim, signal.SIGKILL)
    await until_async(lambda: len(running.server.events("server.started")) == 3, within=60)
    assert await running.codes("second", of="second") == {StatusCode.NOT_FOUND}
    assert await running.codes("third", of="second") == {StatusCode.UNAUTHENTICATED}
    assert await putting(running, "second") == {"OK"}


async def test_a_rolling_restart(running: ServerWithFile) -> None:
    """It brings what needs a restart. If the settings let no worker start, all go on as before."""
    running.write("first", "max_context_bytes = 500\n")
    await running.until_told("settings.reloaded")
    assert await putting(running, "first") == {"OK"}
    running.server.signal(signal.SIGUSR2)
    await running.until_told("workers.renewed")
    assert await putting(running, "first") == {"CONTEXT_TOO_LARGE"}

    former = pids_of(running.server)
    running.write("first", "max_context_bytes = 500\npartitions = 3\n")  # the store has others
    running.server.signal(signal.SIGUSR2)
    failed = await running.until_told("workers.not_renewed")
    assert "partitions" in failed["problems"][0]
    assert pids_of(running.server) == former
    assert await putting(running, "first") == {"CONTEXT_TOO_LARGE"}


async def putting(running: ServerWithFile, token: str) -> set[str]:
    """How a Put of 1 KB ends, at each worker."""
    request = PutRequest(key=key(), context=context(user_id="x" * 1000))
    results = set[str]()
    async with connected_to_all(running.server, token=token) as channels:
        for channel in channels.values():
            stub: Any = store_pb2_grpc.ContextStoreStub(channel)
            call = stub.Put(request, metadata=bearer(token), timeout=TIMEOUT)
            try:
                await call
                results.add("OK")
            except aio.AioRpcError:
                results.add((await failure_of(call)).reason)
    return results

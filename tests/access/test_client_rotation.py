"""The certificate of a client is replaced while it calls, as SPIFFE's helpers do each hour."""

import asyncio
import gc
import logging
import shutil
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from relevo_client import ExecutionContext, RelevoError
from relevo_client._store import aio, blocking
from relevo_client._store import tls as client_tls
from relevo_client._store.tls import Tls
from relevo_server.access.certificates import Certificates
from relevo_server.access.sessions import Sessions
from relevo_server.identities import Principal
from relevo_server.server import Server
from relevo_server.settings import Settings
from support.clients.either import KEY, KINDS, Either, opened
from support.manual_clock import ManualClock
from support.network.certificates import Pair
from support.network.named import Authority, Shown, uri
from support.servers.shapes import Kind
from support.servers.storages import GatedStorage
from support.waiting import until_async

ROTATIONS = 2
CALLERS = 4
TIMEOUT = 10.0

each_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture
def store_url() -> str:
    """Memory, as certificates are the same for every backend."""
    return "memory://"


class Files:
    """The files of a client, which are replaced as a whole, one after the other."""

    def __init__(self, folder: Path, signer: Authority, pair: Pair) -> None:
        self._signer = signer
        self._folder = folder
        self.certificate, self.key = folder / "client.crt", folder / "client.key"
        self.authority = folder / "trusted.pem"
        shutil.copy(pair.certificate, self.authority)
        self.replace(self.shown("agent-0"))

    @property
    def options(self) -> dict[str, Path]:
        """The options of a client."""
        return {"ca": self.authority, "cert": self.certificate, "key": self.key}

    def shown(self, name: str) -> Shown:
        """A new certificate for a name, with its key."""
        return self._signer.signed(*uri(f"spiffe://example/{name}"))

    def replace(self, shown: Shown) -> None:
        """Replace both."""
        self.write(self.key, shown.key)
        self.write(self.certificate, shown.certificate)

    def write(self, file: Path, content: bytes) -> None:
        """Replace one of them."""
        new = self._folder / "new"
        new.write_bytes(content)
        new.replace(file)


@pytest.fixture
def files(tmp_path: Path, signer: Authority, pair: Pair) -> Files:
    """The files of a client."""
    return Files(tmp_path, signer, pair)


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are looked at more often."""
    monkeypatch.setattr(client_tls, "_AGE", 0.02)


@pytest.fixture
def callers(monkeypatch: pytest.MonkeyPatch) -> deque[str]:
    """The names of those who have called last."""
    names = deque[str](maxlen=2 * CALLERS)
    caller = Certificates.caller

    def noted(self: Certificates, auth_context: Any) -> Any:
        found = caller(self, auth_context)
        names.append(found.name if found else "nobody")
        return found

    monkeypatch.setattr(Certificates, "caller", noted)
    return names


def known(settings: Settings, tls: Mapping[str, Path], *names: str) -> Settings:
    """The settings of a server that knows these certificates."""
    principals = tuple(
        Principal(name=each, certificate=f"spiffe://example/{each}", tenants=("acme",))
        for each in names
    )
    update = {"principals": principals, "watch_heartbeat": 0.05, **tls}
    return settings.model_copy(update=update)


@pytest.fixture
async def server(settings: Settings, tls: dict[str, Path]) -> AsyncIterator[Server]:
    """A server that knows the first certificate."""
    async with Server(known(settings, tls, "agent-0")) as server:
        yield server


@asynccontextmanager
async def loaded(client: Either) -> AsyncGenerator[list[RelevoError], None]:
    """Call without a pause until the end of the block. Yields the failures."""
    failures: list[RelevoError] = []
    stopping = asyncio.Event()

    async def call() -> None:
        while not stopping.is_set():
            try:
                await client.ask(lambda c: c.get(KEY))
            except RelevoError as error:
                failures.append(error)

    tasks = [asyncio.create_task(call()) for _ in range(CALLERS)]
    try:
        yield failures
    finally:
        stopping.set()
        await asyncio.gather(*tasks)


def _are(names: Iterable[str], name: str) -> bool:
    """Whether there are names, and all are this one."""
    return set(names) == {name}


def _are_of(sessions: Sessions, name: str) -> bool:
    """Whether there are streams, and all are of this principal."""
    return _are((each.name for each in sessions), name)


@each_kind
async def test_under_load(
    server: Server,
    settings: Settings,
    tls: dict[str, Path],
    files: Files,
    callers: deque[str],
    kind: Kind,
) -> None:
    """No call fails while a client's files are replaced. Calls and Watch move to the new ones.

    Between the replacement of the key and that of the certificate, the former ones are used on.
    """
    untyped: Any = server
    sessions: Sessions = untyped._access.sessions
    async with opened(kind, server.address, timeout=TIMEOUT, **files.options) as client:
        await client.ask(lambda c: c.put(KEY, ExecutionContext(user_id="u")))
        await client.ask(lambda c: c.resolve(KEY))
        await client.local(KEY)
        async with loaded(client) as failures:
            for i in range(1, ROTATIONS + 1):
                old, new = f"agent-{i - 1}", f"agent-{i}"
                await server.reload(known(settings, tls, old, new))
                shown = files.shown(new)
                files.write(files.key, shown.key)
                callers.clear()
                await until_async(lambda: len(callers) == callers.maxlen, what="more calls")
                assert set(callers) == {old}
                files.write(files.certificate, shown.certificate)
                await until_async(partial(_are, callers, new), what="calls of the new one")
                await until_async(partial(_are_of, sessions, new), what="the stream's move")
                await server.reload(known(settings, tls, new))
        assert failures == []
        assert (await client.local(KEY)).context.user_id == "u"


@each_kind
async def test_a_call_in_flight(
    settings: Settings, tls: dict[str, Path], files: Files, callers: deque[str], kind: Kind
) -> None:
    """A call ends on the connection that it began on, after others have begun on the next one."""
    storage = GatedStorage()
    async with (
        Server(known(settings, tls, "agent-0", "agent-1"), storage) as server,
        opened(kind, server.address, timeout=TIMEOUT, **files.options) as client,
    ):
        await client.ask(lambda c: c.put(KEY, ExecutionContext(user_id="u")))
        storage.gate.clear()
        in_flight = asyncio.create_task(client.ask(lambda c: c.get(KEY)))
        await until_async(lambda: storage.waiting == 1)
        files.replace(files.shown("agent-1"))

        async def others_use_the_next() -> bool:
            await client.ask(lambda c: c.put(KEY, ExecutionContext(user_id="u")))
            return callers[-1] == "agent-1"

        await until_async(others_use_the_next)
        storage.gate.set()
        assert (await in_flight).context.user_id == "u"


@pytest.fixture
def little_garbage() -> Iterator[None]:
    """Collections of garbage are fast: they scan only what the test makes."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@each_kind
@pytest.mark.usefixtures("little_garbage")
async def test_former_connections_end(
    server: Server, files: Files, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A former connection is closed once its calls and its stream must have ended."""
    monkeypatch.setattr(aio if kind == "asyncio" else blocking, "MARGIN", 0.1 - TIMEOUT)
    port = int(server.address.rpartition(":")[2])

    def connections() -> set[int]:
        gc.collect()  # gRPC's asyncio streams are garbage in cycles, and keep their connection
        return {
            each.laddr.port
            for each in psutil.Process().net_connections("tcp")
            if each.raddr[1:] == (port,) and each.status == "ESTABLISHED"
        }

    async with opened(kind, server.address, timeout=TIMEOUT, **files.options) as client:
        await client.ask(lambda c: c.put(KEY, ExecutionContext(user_id="u")))
        await client.ask(lambda c: c.resolve(KEY))
        await client.local(KEY)
        (former,) = connections()
        files.replace(files.shown("agent-0"))
        await until_async(lambda: former not in connections(), what="the former one's end")
        await client.local(KEY)
    await until_async(lambda: not connections(), what="the end of all")


@each_kind
async def test_closing_meanwhile(server: Server, files: Files, kind: Kind) -> None:
    """To close a client that has a former connection does not wait for the end of its time."""
    began = asyncio.get_running_loop().time()
    async with opened(kind, server.address, timeout=60, **files.options) as client:
        await client.ask(lambda c: c.put(KEY, ExecutionContext()))
        files.replace(files.shown("agent-0"))
        await asyncio.sleep(0.05)  # until the files are looked at again
        await client.ask(lambda c: c.get(KEY))
    assert asyncio.get_running_loop().time() - began < 30


def renewed(tls: Tls, clock: ManualClock) -> bool:
    """Whether the next look finds other files."""
    clock.now += 10
    assert tls.is_due()
    return tls.renew()


def test_files_that_cannot_be_used(files: Files, caplog: pytest.LogCaptureFixture) -> None:
    """Files that are missing, broken, or of two pairs change nothing, and the log says so once."""
    caplog.set_level(logging.WARNING, "relevo")
    clock = ManualClock()
    tls = Tls(None, files.options, clock=clock)
    first, key = tls.credentials, files.key.read_bytes()
    assert not tls.is_due()
    assert not renewed(tls, clock)
    broken = (
        (files.key, files.shown("other").key, "KEY_VALUES_MISMATCH"),
        (files.key, b"no key", "cannot be used"),
        (files.authority, b"no certificate", "cannot be used"),
    )
    for file, content, reason in broken:
        before = file.read_bytes()
        files.write(file, content)
        caplog.clear()
        assert not any(renewed(tls, clock) for _ in range(2))
        (record,) = caplog.records
        assert reason in record.getMessage()
        assert content.decode()[:30] not in record.getMessage()
        files.write(file, before)
    files.key.unlink()
    assert not renewed(tls, clock)
    assert tls.credentials is first
    files.write(files.key, key)
    assert renewed(tls, clock)
    assert tls.credentials is not first
    assert not renewed(tls, clock)


def test_content_never_changes(files: Files) -> None:
    """The content of files, and credentials of one's own, are used for ever."""
    content = {name: path.read_bytes() for name, path in files.options.items()}
    clock = ManualClock()
    for tls in (Tls(None, content, clock=clock), Tls(None, clock=clock)):
        clock.now += 100
        assert not tls.may_change
        assert not tls.is_due()

"""Rotation under load: entitled callers see no failed call while tokens and keys are replaced."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from grpc import aio
from relevo.v1 import store_pb2_grpc
from relevo.v1.store_pb2 import GetRequest, PutRequest
from relevo_server.server import Server
from relevo_server.settings import Settings
from support.clients.access import bearer, principal
from support.clients.calls import TIMEOUT, Stub, context, key
from support.clients.tokens import TokenIssuer
from support.network.certificates import Pair, self_signed
from support.servers.serving import stub_of
from support.waiting import until_async

ROTATIONS = 5
CALLERS = 8


@pytest.fixture
def store_url() -> str:
    """Memory, as rotation is the same for every backend."""
    return "memory://"


class Load:
    """Callers that call without a pause."""

    def __init__(self) -> None:
        self.answered = 0
        self.failures: list[object] = []
        self.flying: Counter[str] = Counter()
        """The calls under way, by their tokens."""

    async def more(self) -> None:
        """Wait until some further calls were answered."""
        goal = self.answered + 50
        await until_async(lambda: self.answered >= goal or self.failures, what="answers")

    async def moved_from(self, token: str) -> None:
        """Wait until no call with this token is under way."""
        await until_async(lambda: not self.flying[token], what="the end of the last old call")

    @asynccontextmanager
    async def on(self, stub: Stub, token: Callable[[], str]) -> AsyncGenerator[None, None]:
        """Call with the token of the moment until the end of the block."""
        await stub.Put(
            PutRequest(key=key(), context=context()), metadata=bearer(token()), timeout=TIMEOUT
        )
        stopping = asyncio.Event()

        async def call() -> None:
            while not stopping.is_set():
                shown = token()
                self.flying[shown] += 1
                try:
                    await stub.Get(GetRequest(key=key()), metadata=bearer(shown), timeout=TIMEOUT)
                except aio.AioRpcError as error:
                    self.failures.append(error.details())
                self.flying[shown] -= 1
                self.answered += 1

        callers = [asyncio.create_task(call()) for _ in range(CALLERS)]
        try:
            yield
        finally:
            stopping.set()
            await asyncio.gather(*callers)


async def test_tokens(settings: Settings) -> None:
    """A token is replaced by adding the new one, moving the callers, and removing the old one."""
    load = Load()
    current = ["t-0"]

    def known(*tokens: str) -> Settings:
        return settings.model_copy(
            update={"principals": tuple(principal(each, "acme") for each in tokens)}
        )

    async with Server(known("t-0")) as server, stub_of(server.address) as stub:  # noqa: SIM117
        async with load.on(stub, lambda: current[0]):
            for i in range(ROTATIONS):
                old, new = f"t-{i}", f"t-{i + 1}"
                await server.reload(known(old, new))
                current[0] = new
                await load.moved_from(old)
                await server.reload(known(new))
                await load.more()
    assert load.failures == []


async def test_keys(settings: Settings, issuer: TokenIssuer) -> None:
    """A key is replaced by publishing the new one, signing with it, and withdrawing the old one."""
    load = Load()
    current = [issuer.token()]
    known = settings.model_copy(update={"issuers": (issuer.settings(),)})
    async with Server(known) as server, stub_of(server.address) as stub:  # noqa: SIM117
        async with load.on(stub, lambda: current[0]):
            for i in range(ROTATIONS):
                issuer.rotate(f"k-{i}")
                await server.reload(known)  # as a changed file makes it happen
                old, current[0] = current[0], issuer.token()
                await load.moved_from(old)
                issuer.publish(f"k-{i}")
                await server.reload(known)
                await load.more()
    assert load.failures == []


async def test_certificates(settings: Settings, tmp_path: Path) -> None:
    """The server's certificate is replaced: open connections go on, and new ones get the new."""
    load = Load()

    def pair(name: str) -> Pair:
        return self_signed(tmp_path, name)

    def known(pair: Pair) -> Settings:
        update = {"tls_certificate": pair.certificate, "tls_key": pair.key}
        return settings.model_copy(update=update)

    first, second = pair("first"), pair("second")

    @asynccontextmanager
    async def connected(server: Server, trusted: Pair) -> AsyncGenerator[Stub, None]:
        credentials = grpc.ssl_channel_credentials(trusted.certificate_pem)
        options = [("grpc.use_local_subchannel_pool", 1)]
        async with aio.secure_channel(server.address, credentials, options) as channel:
            yield store_pb2_grpc.ContextStoreStub(channel)

    async with Server(known(first)) as server, connected(server, first) as stub:  # noqa: SIM117
        async with load.on(stub, lambda: "none"):
            await server.reload(known(second))
            await load.more()
            async with connected(server, second) as other:
                await other.Get(GetRequest(key=key()), timeout=TIMEOUT)
            async with connected(server, first) as outdated:
                with pytest.raises(aio.AioRpcError) as caught:
                    await outdated.Get(GetRequest(key=key()), timeout=5)
                assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
            await load.more()
    assert load.failures == []

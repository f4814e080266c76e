"""Post-notification: a caller reads at once what its callee has just written.

A caller asks a service to write, and reads as soon as it is answered: itself, and by services that
it calls. They are clients of different servers over one Redis, so a change reaches each of them in
its own time. The caller carries the reference of another context of the tenant.
"""

import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from functools import partial
from typing import Any

import grpc
from grpc import aio
from relevo_client import (
    AsyncContextClient,
    ContextEntry,
    ContextKey,
    ExecutionContext,
    aio_context_channel,
    aio_server_interceptor,
    context_headers,
    require_ref,
    use_context,
)

from support.network.proxy import Proxy
from support.servers.process import relevo_serve
from support.waiting import until_async

MAX_DELAY = 0.5
"""The longest delay of a push, in seconds."""
_TRACKING = b"CLIENT\r\n$8\r\nTRACKING"
"""What a server sends to Redis on the connection that tells of changes."""
_SERVICE = "relevo.test.Notes"
_Call = Callable[..., Awaitable[bytes]]


@contextmanager
def delayed_stores(port: int, prefix: str, number: int = 2) -> Any:
    """Servers over the Redis on this port, each of which hears of changes 0 to 0.5 s late."""
    chance = random.Random(14)  # noqa: S311 - delays that are the same each time
    with ExitStack() as stack:
        addresses: list[str] = []
        for _ in range(number):
            # A server reads the logs, and hears of their changes, on a connection of its own.
            proxy = stack.enter_context(Proxy(port, delayed=_TRACKING))
            proxy.to_client.delay = lambda: chance.uniform(0, MAX_DELAY)
            url = f"redis://127.0.0.1:{proxy.port}"
            flags = ("--store", url, "--store-prefix", prefix, "--listen", "127.0.0.1:0")
            addresses.append(stack.enter_context(relevo_serve(*flags, fresh=True)).address)
        yield addresses


class Notes:
    """The caller, with its client and the services that it calls."""

    def __init__(
        self,
        contexts: AsyncContextClient,
        others: Sequence[AsyncContextClient],
        write: _Call,
        readers: Sequence[_Call],
    ):
        self._contexts = contexts
        self._others = others
        self._write = write
        self._readers = readers

    async def begin(self, tenant_id: str) -> ContextEntry:
        """Make a tenant's note and conversation. Returns the conversation's entry.

        From then on, all near caches have the note, so that they may have an older one.
        """
        await self._contexts.put(_note(tenant_id), ExecutionContext(metadata={"number": 0}))
        key = ContextKey("conversation", tenant_id, "c-1")
        await self._contexts.put(key, ExecutionContext(tenant_id=tenant_id))
        for client in (self._contexts, *self._others):
            await until_async(partial(client.peek, _note(tenant_id)), within=30)
        return await self._contexts.resolve(key)

    async def round(self, current: ContextEntry, number: int, *, come_back: bool = True) -> int:
        """Have a greater number written, and read it. Returns how many reads were older.

        If fences do not `come_back`, the caller carries its reference by hand, outside of calls.
        """
        if come_back:
            with use_context(current):
                return await self._round(current.key.tenant_id, number, None)
        with use_context(current):
            carried = tuple(context_headers().items())
        return await self._round(current.key.tenant_id, number, carried)

    async def _round(self, tenant_id: str, number: int, metadata: Any) -> int:
        await self._write(b"%d" % number, metadata=metadata)
        read = [_number(await self._contexts.resolve(_note(tenant_id)))]
        read += [int(await reader(b"", metadata=metadata)) for reader in self._readers]
        return sum(each < number for each in read)


@asynccontextmanager
async def notes(addresses: Sequence[str]) -> AsyncGenerator[Notes, None]:
    """A caller that uses the first server, a writer that uses the last one, a reader of each."""
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(AsyncContextClient(address, timeout=10))
            for address in addresses
        ]
        services = [await _served(stack, client) for client in clients]
        writer = services[-1].unary_unary(f"/{_SERVICE}/Write")
        readers = [service.unary_unary(f"/{_SERVICE}/Read") for service in services]
        caller = await stack.enter_async_context(AsyncContextClient(addresses[0], timeout=10))
        yield Notes(caller, clients, writer, readers)


async def _served(stack: AsyncExitStack, contexts: AsyncContextClient) -> Any:
    """A channel to a service that reads and writes the notes of its calls' tenants."""

    async def write(request: bytes, _: Any) -> bytes:
        note = _note(require_ref().key.tenant_id)
        await contexts.update(note, {"metadata": {"number": int(request)}})
        return b""

    async def read(_: bytes, __: Any) -> bytes:
        return b"%d" % _number(await contexts.resolve(_note(require_ref().key.tenant_id)))

    handlers: dict[str, Any] = {
        "Write": grpc.unary_unary_rpc_method_handler(write),
        "Read": grpc.unary_unary_rpc_method_handler(read),
    }
    interceptor = aio_server_interceptor(contexts, trust_callers=True)
    server = aio.server(interceptors=[interceptor])
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    stack.push_async_callback(server.stop, None)
    channel = aio_context_channel(aio.insecure_channel(f"127.0.0.1:{port}"))
    return await stack.enter_async_context(channel)


def _note(tenant_id: str) -> ContextKey:
    return ContextKey("note", tenant_id, "n-1")


def _number(entry: ContextEntry) -> int:
    return int(entry.context.metadata["number"])

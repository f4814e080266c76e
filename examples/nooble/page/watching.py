"""Receives the steps that the services of a platform send."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress

from nooble.ports import HOST
from nooble.steps import Step


class _Receiver(asyncio.DatagramProtocol):
    def __init__(self, receive: Callable[[Step], None]) -> None:
        self._receive = receive

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002 - its name
        """Receive one step. What is none is dropped."""
        with suppress(ValueError):
            self._receive(Step.from_datagram(data))


@asynccontextmanager
async def watching(receive: Callable[[Step], None]) -> AsyncGenerator[str]:
    """Call `receive` with each step. Yields the address that services send to."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: _Receiver(receive), local_addr=(HOST, 0)
    )
    try:
        yield "{}:{}".format(*transport.get_extra_info("sockname"))
    finally:
        transport.close()

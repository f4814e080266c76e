"""How FastStream reads an entry: unparsed, and acknowledged by its holder."""

from collections.abc import Callable
from typing import Any

from faststream.redis.message import FakeConsumer

from relevo_client.actions._entries import Entries

_DATA = b"__data__"  # where FastStream keeps a message in a stream's entry


class Acknowledging(FakeConsumer):
    """Acknowledges for a message what its consumer holds, and nothing else."""

    def __init__(self, entries: Entries) -> None:
        self._entries = entries

    async def xack(self, name: str, groupname: str, *ids: bytes) -> None:  # noqa: ARG002
        """Acknowledge. Raises NotHeldError."""
        for entry in ids:
            await self._entries.acknowledge(entry)


async def parse(message: Any, original: Callable[[Any], Any]) -> Any:
    """FastStream's message of an entry, also if the entry is none of FastStream's."""
    try:
        return await original(message)
    except Exception:  # noqa: BLE001 - an entry that nobody can read is still to be buried
        fields: dict[bytes, bytes] = message["data"]
        lines = b"\n".join(part for field in fields.items() for part in field)
        return await original({**message, "data": {_DATA: lines}})


async def as_it_is(message: Any) -> Any:
    """The message itself: its body is decoded later, and a failure of that is handled."""
    return message

"""FastStream's hooks for reading entries: bodies stay unparsed, and only holders acknowledge."""

from collections.abc import Callable
from typing import Any

from faststream.redis.message import FakeConsumer

from relevo_client.actions._entries import Entries

_DATA = b"__data__"  # FastStream's field for a message in a stream's entry


class Acknowledging(FakeConsumer):
    """Acknowledges an entry only if its consumer still holds it."""

    def __init__(self, entries: Entries) -> None:
        self._entries = entries

    async def xack(self, name: str, groupname: str, *ids: bytes) -> None:  # noqa: ARG002
        """Acknowledge entries. Raises NotHeldError."""
        for entry in ids:
            await self._entries.acknowledge(entry)


async def parse(message: Any, original: Callable[[Any], Any]) -> Any:
    """FastStream's message for an entry, even if FastStream's format does not fit the entry."""
    try:
        return await original(message)
    except Exception:  # noqa: BLE001 - an unreadable entry becomes a dead letter
        fields: dict[bytes, bytes] = message["data"]
        lines = b"\n".join(part for field in fields.items() for part in field)
        return await original({**message, "data": {_DATA: lines}})


async def as_it_is(message: Any) -> Any:
    """The message itself: `_deliveries.read` decodes its body, and handles failures."""
    return message

"""The metadata of asyncio calls, with the entries that they carry."""

from collections.abc import Iterator, Sequence
from typing import Any

from grpc import aio

from relevo_client._propagation.metadata import Pairs


def extended(metadata: Pairs | None, entries: Sequence[tuple[str, str | bytes]]) -> aio.Metadata:
    """A call's metadata with more entries. A copy: the caller may use its own for other calls."""
    return aio.Metadata(*metadata, *entries) if metadata else _Entries(entries)


class _Entries(aio.Metadata):
    """The metadata of a call that has a reference and no other entries.

    gRPC only iterates over it, which takes measurably longer over Metadata's dict of lists. That
    dict is built on the first use of anything else, as by an interceptor of the channel.
    """

    def __init__(self, entries: Sequence[tuple[str, str | bytes]]) -> None:
        self._entries: Sequence[tuple[str, str | bytes]] | None = entries

    def __getattr__(self, name: str) -> Any:
        """Build Metadata's own attributes on the first access to one of them."""
        entries = self.__dict__.get("_entries")
        if entries is None:
            raise AttributeError(name)
        self._entries = None
        super().__init__(*entries)
        return getattr(self, name)

    def __len__(self) -> int:
        return super().__len__() if self._entries is None else len(self._entries)

    def __iter__(self) -> Iterator[Any]:
        return super().__iter__() if self._entries is None else iter(self._entries)

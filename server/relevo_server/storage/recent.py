"""Contexts that were read last, so that a version is fetched once and not once per reader.

Every read asks the store which write an entry is of, by its version and its mark; the context of
that write need not be sent again if it is at hand. The version alone would not do: if a failover
loses a write and the new clock is behind the log, the next write gets the same version (S3's
limit). No I/O and no clock.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

from relevo_server.keys import Key
from relevo_server.storage.interface import ABSENT, CORRUPT, Stored

_OVERHEAD = 256
"""Bytes that a context takes beside itself, about."""


class Held(NamedTuple):
    """A context that is at hand, and the version that it is of."""

    version: int
    context: bytes
    mark: bytes = b""
    """Of the write: versions repeat after a failover, if the clock is behind the log."""


NOTHING = Held(ABSENT, b"")


class Recent:
    """Contexts by key, bounded; those that were not used for longest go first."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._held: OrderedDict[Key, Held] = OrderedDict()
        self._bytes = 0

    def of(self, keys: Sequence[Key]) -> list[Held]:
        """What is at hand of each key, `NOTHING` for none."""
        return [self._held.get(key, NOTHING) for key in keys]

    def complete(
        self, key: Key, held: Held, known: int, stored: Stored | None, mark: bytes
    ) -> Stored | None:
        """An answer with its context, unless the reader knows the version; and keep that.

        `held` is what was at hand when the store was asked, which did not send that version.
        """
        if stored is None or stored is CORRUPT:
            self._drop(key)
            return stored
        if (stored.version, mark) == (held.version, held.mark) and stored.context is None:
            stored = stored._replace(context=held.context, left_out=0)
        if stored.context is not None:
            self._keep(key, Held(stored.version, stored.context, mark))
        if stored.version == known:
            return stored._replace(context=None, left_out=0)
        return stored

    def _keep(self, key: Key, held: Held) -> None:
        if self._held.get(key, NOTHING) == held:
            self._held.move_to_end(key)
            return
        self._drop(key)
        self._held[key] = held
        self._bytes += _OVERHEAD + len(held.context)
        while self._bytes > self._max_bytes:
            self._drop(next(iter(self._held)))

    def _drop(self, key: Key) -> None:
        held = self._held.pop(key, None)
        if held:
            self._bytes -= _OVERHEAD + len(held.context)

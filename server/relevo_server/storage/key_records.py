"""The tenants' data keys, as a backend keeps them: the third part of its interface.

A backend knows data keys only wrapped. A wrapped one begins with the id of its data key, which is
`ID_BYTES` long. Each tenant has one at most. The methods raise StoreError as those of `Storage` do.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

from relevo_server.hiding import hides
from relevo_server.keys import Key

ID_BYTES = 8


class Shredded(NamedTuple):
    """The result of shredding a tenant."""

    revision: int
    """The revision up to which all of the tenant's entries are dead."""
    had_key: bool
    """Whether the tenant had a data key."""


class Rewrapped(NamedTuple):
    """The result of wrapping data keys anew."""

    primary: str
    """The name of the key ring's primary key, which wraps all of them now."""
    keys: int
    """The number of data keys."""
    rewrapped: int
    """The number of those that another key had wrapped."""


@hides("keys")
class KeyPage(NamedTuple):
    """A part of the wrapped data keys of a partition."""

    keys: Sequence[tuple[str, bytes]]
    """Tenants, each with its data key."""
    cursor: str
    """The cursor of the next part, "" at the end."""


class ChangedKeyError(Exception):
    """Raised if a write's context is encrypted by a data key that is not the tenant's any more."""


class KeyRecords(ABC):
    """Keeps wrapped data keys, and deletes what they encrypt."""

    @abstractmethod
    async def wrapped_key(self, tenant_id: str, *, before: bytes = b"", new: bytes = b"") -> bytes:
        """The wrapped data key of a tenant, b"" if there is none.

        If it is `before` and `new` is given, it becomes `new`, in one step.
        """

    @abstractmethod
    async def ring_check(self, *, before: bytes = b"", new: bytes = b"") -> bytes:
        """The record by which a server checks its key ring, b"" if there is none.

        It is replaced as in `wrapped_key`.
        """

    @abstractmethod
    async def page(self, partition: int, cursor: str, count: int) -> KeyPage:
        """About `count` of a partition's data keys. `cursor` is that of the part before, or "".

        A data key that exists during the whole search is in at least one part.
        """

    @abstractmethod
    async def shred(self, tenant_id: str, principal: str) -> Shredded:
        """Delete a tenant's data key, and end all of its entries and leases, in one step.

        The event is that of `Storage.invalidate_tenant`. A later write needs a new data key.
        """

    @abstractmethod
    async def erase(self, keys: Sequence[Key]) -> int:
        """Delete what is stored under keys of one tenant, unless it is a live entry.

        Returns the number of deleted records.
        """

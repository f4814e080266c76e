"""The state and usage of a storage backend, for operators: the second part of its interface.

The methods raise StoreError as those of `Storage` do, unless their docstrings say otherwise.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from typing import NamedTuple

from relevo_server.keys import Key
from relevo_server.quotas import LimitsOf
from relevo_server.storage.events import LogPage

EVICTION_ADVICE = "set maxmemory-policy to noeviction or to a volatile-* policy"
"""The advice for an eviction policy that may take the logs."""


def rights_advice(commands: Iterable[str]) -> str:
    """The command of Redis that lets its user run these commands."""
    return " ".join(["ACL SETUSER …", *(f"+{command.lower()}" for command in sorted(commands))])


def may_evict_logs(policy: str) -> bool:
    """Whether an eviction policy, by Redis's name, may take the logs and the order of revisions.

    `policy` may also be several policies, joined by commas.
    """
    return "allkeys-" in policy


class DatabaseStatus(NamedTuple):
    """The state of the database behind a storage, as far as it reports it."""

    version: str = ""
    """Its name and version, for example `redis 7.0.15`."""
    used_bytes: int = 0
    max_bytes: int = 0
    """0 if there is no limit, or if it is unknown."""
    eviction_policy: str = ""
    clock_offset: float | None = None
    """Its clock minus this host's, in seconds; None if unknown."""


class LogState(NamedTuple):
    """The extent of a partition's log."""

    revision: int
    """The partition's last revision."""
    length: int
    """The number of events."""
    first: int
    """The first event's revision, 0 if there is none."""


class Scanned(NamedTuple):
    """A part of a tenant's keys. Their entries may be dead."""

    keys: Sequence[Key]
    cursor: str
    """The beginning of the next part, "" at the end."""


class Usage(NamedTuple):
    """The resources that a store uses. A figure is None if it is unknown, or not known yet."""

    log_length: int | None = None
    """Events in the longest log."""
    entries: int | None = None
    """Entries that are stored, dead ones too."""
    size: int | None = None
    """Bytes of memory that the database uses, for all that it holds."""
    max_size: int | None = None
    """Bytes that it may use, if there is a limit."""


class Held(NamedTuple):
    """A tenant's part of the store: entries, and the bytes of their contexts."""

    entries: int
    bytes: int


class Inspection(ABC):
    """Reports the state and usage of a backend. It reads and writes no context."""

    kind: str
    """The kind of backend, as `memory` or `redis+cluster`."""

    @abstractmethod
    async def database_status(self) -> DatabaseStatus:
        """The state of the database. Raises nothing: what it does not report is unknown."""

    async def refusals(self) -> Mapping[str, str]:
        """The commands that this server needs and may not run, each with the database's error.

        Changes nothing. Some may be needed for few things only.
        """
        return {}

    @abstractmethod
    async def usage(self) -> Usage:
        """The store's usage. Cheap enough for once a second: figures may be some calls old.

        Raises nothing: a figure that the database refuses is None.
        """

    @abstractmethod
    async def log_state(self, partition: int) -> LogState:
        """The extent of a partition's log."""

    @abstractmethod
    async def history(self, partition: int, before: int | None, limit: int) -> LogPage:
        """The last `limit` events before a revision, None for the end of the log."""

    @abstractmethod
    async def scan(self, tenant_id: str, scope: str, cursor: str, count: int) -> Scanned:
        """A part of the keys of a tenant, or of one of its scopes ("" for all).

        `cursor` is the one that the part before returned, "" for the first part. `count` is about
        how many keys of the whole database to search. A key that exists during the whole search is
        in at least one part. Raises INVALID_ARGUMENT if `cursor` is not one of this backend's.
        """

    @abstractmethod
    def sizes(self, tenant_id: str) -> AsyncGenerator[Sequence[tuple[str, int]]]:
        """The scope of each live entry of a tenant, and the bytes of its context; some at a time.

        An entry may come twice while the database resizes its table of names.
        """

    @abstractmethod
    async def held(self, tenant_id: str) -> Held:
        """A tenant's part of the store, as it is counted if the storage's `limits_of` limits it.

        Never too low. Too high by what has ended since the last recount without a call, and by
        what was added during that recount.
        """

    @abstractmethod
    async def recount(self, limits_of: LimitsOf, interval: float) -> None:
        """Count anew what the tenants have that `limits_of` limits. May take minutes.

        Does nothing if a server of the store has begun one within the last `interval` seconds.
        """

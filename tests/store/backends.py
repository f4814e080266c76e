"""One of two storage backends that are compared, with a clock that the test sets."""

from collections.abc import Awaitable, Callable
from typing import Any

from relevo_server.errors import StoreError
from relevo_server.storage import Storage
from relevo_server.storage.events import Event
from relevo_server.storage.interface import Leased, Read, Stored, Written

PARTITIONS = 2
REQUEST_TTL = 250.0
SLACK_MS = 60_000  # real seconds that a run may last, far less than any step of the clock

Call = Callable[[Storage], Awaitable[Any]]


class Backend:
    """A backend, with the log that it has written so far."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.logs: list[list[Event]] = [[] for _ in range(PARTITIONS)]

    async def follow(self) -> None:
        """Read the new events of the logs. Revisions must grow."""
        for partition, log in enumerate(self.logs):
            last = log[-1].revision if log else 0
            for event in (await self.storage.tail(partition, last, 1000)).events:
                assert event.revision > last
                last = event.revision
                log.append(event)

    async def backwards(self, partition: int) -> list[Event]:
        """The whole log of a partition, the newest event first."""
        events: list[Event] = []
        while True:
            before = events[-1].revision if events else None
            page = await self.storage.inspection.history(partition, before, 7)
            assert page.revision == (
                self.logs[partition][-1].revision if events or page.events else 0
            )
            events += page.events
            if page.is_last:
                return events

    def rank(self, partition: int, revision: int) -> int:
        """The rank of this revision among its partition's events, from 1; 0 for no revision."""
        if revision == 0:
            return 0
        return [event.revision for event in self.logs[partition]].index(revision) + 1

    def revision(self, partition: int, rank: int) -> int:
        """The revision of the event with this rank."""
        return self.logs[partition][rank - 1].revision

    async def outcome(self, partition: int, call: Call) -> Any:
        """The result or the error of a call, with ranks in place of revisions."""
        try:
            result = await call(self.storage)
        except StoreError as error:
            await self.follow()
            metadata = dict(error.metadata)
            if "current_version" in metadata:
                metadata["current_version"] = str(
                    self.rank(partition, int(metadata["current_version"]))
                )
            return error.code, error.reason, error.message, metadata, error.violations
        await self.follow()
        match result:
            case Read():
                entries = [self._ranked(partition, stored) for stored in result.entries]
                return Read(self.rank(partition, result.revision), entries)
            case Leased():
                return result._replace(
                    revision=self.rank(partition, result.revision),
                    entry=self._ranked(partition, result.entry),
                )
            case Written():
                return result._replace(
                    version=self.rank(partition, result.version),
                    created=self.rank(partition, result.created),
                )
            case int(revision), int(count):
                return self.rank(partition, revision), count
            case int():
                return self.rank(partition, result)
            case _:
                return result

    def _ranked(self, partition: int, stored: Stored | None) -> Stored | None:
        return stored and stored._replace(
            version=self.rank(partition, stored.version),
            created=self.rank(partition, stored.created),
        )

"""A model of one partition of the store, which remembers its whole history."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

from relevo.v1.context_pb2 import ExecutionContext
from relevo_client._near_cache.state import ABSENT
from relevo_server.keys import Key
from relevo_server.storage.events import Event, Gap, Tail
from relevo_server.storage.interface import Limits, Read, Stored, within

PARTITION = 7
TENANT = "acme"
KEYS = [Key("conversation", TENANT, f"c{i}") for i in range(4)] + [
    Key("agent_config", TENANT, f"a{i}") for i in range(2)
]
HEAD, LAYER = KEYS[0], KEYS[-1]
"""The keys of an entry and of the layer that it includes."""


@dataclass
class Era:
    """The state of a key from a revision on."""

    version: int
    since: int
    ended: float | None = None
    """The time in seconds at which the state ended."""
    until: int | None = None
    """The revision that ended it; None if nothing has, or if the order was lost."""
    first: int = 0
    """The number of the change that began it."""
    last: int | None = None
    """The number of the change that ended it; None if nothing has."""


@dataclass
class Store:
    """One partition: every write, and the log."""

    random: random.Random
    time: Callable[[], float]
    revision: int = 0
    """The greatest revision that ever existed."""
    reached: int = 0
    """The last revision that the store itself knows."""
    log: list[Event] = field(default_factory=list[Event])
    changes: int = 0
    """The number of changes so far: all states between two changes existed together."""
    trimmed: int = 0
    """The last revision that the log has lost at its beginning; 0 for none."""
    contexts: dict[Key, Stored] = field(default_factory=dict[Key, Stored])
    versions: dict[int, Stored] = field(default_factory=dict[int, Stored])
    """All entries that were ever written, by version."""
    eras: dict[Key, list[Era]] = field(
        default_factory=lambda: {key: [Era(ABSENT, 0)] for key in KEYS}
    )
    """The states of every key, in their order."""

    def put(self, key: Key) -> None:
        """Write an entry. The head includes the layer."""
        revision = self._next()
        context = ExecutionContext(user_id=f"{revision}")
        context.metadata[key.id] = revision
        if key == HEAD:
            include = context.includes.add()
            include.scope, include.tenant_id, include.id = LAYER
        self._write(key, revision, context, self.random.choice([300, 3000, 600_000]))

    def put_snapshot(self, key: Key, context: ExecutionContext) -> int:
        """Write a snapshot unless there is one. Returns its version."""
        self.eras.setdefault(key, [Era(ABSENT, 0)])
        if key not in self.contexts:
            self._write(key, self._next(), context, 600_000)
        return self.contexts[key].version

    def invalidate(self, key: Key) -> None:
        """End an entry."""
        revision = self._next()
        self.contexts.pop(key, None)
        self.log.append(Event(revision, "invalidate", key))
        self._begin(key, ABSENT, revision)

    def raise_floor(self, scope: str) -> None:
        """End all entries of a tenant, or of one of its scopes."""
        revision = self._next()
        self.log.append(Event(revision, "floor", tenant_id=TENANT, scope=scope))
        for key in self.eras:
            if scope in ("", key.scope):
                self.contexts.pop(key, None)
                self._begin(key, ABSENT, revision)

    def trim(self) -> None:
        """Drop the older half of the log."""
        half = len(self.log) // 2
        self.trimmed = max([self.trimmed, *(event.revision for event in self.log[:half])])
        del self.log[:half]

    def lose(self, number: int) -> None:
        """Lose the last writes, as in a failover; later writes still have greater revisions."""
        lost = self.log[-number:]
        if not lost:
            return
        self.log = self.log[: -len(lost)]
        first = lost[0].revision
        self.changes += 1
        for key in self.eras:
            kept = [era for era in self.eras[key] if era.since < first]
            version = kept[-1].version if kept else ABSENT
            if version != self.eras[key][-1].version:
                self._begin(key, version, None)
                self.contexts.pop(key, None)
                if version:
                    self.contexts[key] = self.versions[version]
        # The clock continues: the next revision is greater than all lost ones.
        self.reached = self.log[-1].revision if self.log else self.trimmed

    def tail(self, position: int | None, seen: Sequence[int] = ()) -> Tail:
        """Read the log, as a server does."""
        if position is None:
            return Tail(self.reached, [])
        if position == 0 and self.trimmed:
            return Tail(self.reached, [], Gap.TRIMMED)
        if not self.log and self.reached:
            self.log.append(Event(self.reached, "foreign"))
            return Tail(self.reached, [], Gap.CHANGED)
        for known in (position, *seen):
            if known and all(event.revision != known for event in self.log):
                first = self.log[0].revision if self.log else 0
                return Tail(self.reached, [], Gap.TRIMMED if first > known else Gap.CHANGED)
        return Tail(self.reached, [event for event in self.log if event.revision > position])

    def read(self, key: Key, known_version: int = 0) -> Stored | None:
        """Read an entry, as a server does."""
        stored = self.contexts.get(key)
        if stored and stored.version == known_version:
            return stored._replace(context=None)
        return stored

    def read_within(self, keys: Sequence[Key], limits: Limits, position: int | None) -> Read | None:
        """Read entries within limits, as a server does. None if the log lacks the position."""
        if position and all(event.revision != position for event in self.log):
            return None
        stored = [self.contexts.get(key) for key in keys]
        return Read(self.reached, within(stored, limits))

    def _write(self, key: Key, revision: int, context: ExecutionContext, ttl_ms: int) -> None:
        stored = Stored(revision, revision, ttl_ms, context.SerializeToString())
        self.contexts[key] = self.versions[revision] = stored
        self.log.append(Event(revision, "put", key))
        self._begin(key, revision, revision)

    def _next(self) -> int:
        self.revision += self.random.randint(1, 3)
        self.changes += 1
        self.reached = self.revision
        return self.revision

    def _begin(self, key: Key, version: int, revision: int | None) -> None:
        last = self.eras[key][-1]
        if last.version == version:
            return
        last.ended, last.until, last.last = self.time(), revision, self.changes
        since = self.revision if revision is None else revision
        self.eras[key].append(Era(version, since, first=self.changes))

    def had_together(self, versions: Mapping[Key, int]) -> bool:
        """Whether all of these keys had these versions at one moment."""
        found = [
            [era for era in self.eras[key] if era.version == version]
            for key, version in versions.items()
        ]
        return any(
            max(era.first for era in eras) < min(era.last or self.changes + 1 for era in eras)
            for eras in product(*found)
        )

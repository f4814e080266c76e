"""Redis compared with memory: the same operations must have the same observable results.

The memory backend is the model. The test sets the model's clocks; on Redis, time passes by reducing
the TTLs of the keys. Revisions of the two differ, so they are compared by rank: a revision is the
number of its event in the log. That also shows that every write has exactly one event.
"""

import asyncio
import time
import uuid
from collections.abc import Sequence
from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)
from relevo_server.keys import Key, partition_of
from relevo_server.storage import open_storage
from relevo_server.storage.interface import (
    ABSENT,
    LeaseAttempt,
    Leased,
    Once,
    Read,
    Stored,
    Write,
)
from relevo_server.storage.memory import MemoryStorage
from store.backends import PARTITIONS, REQUEST_TTL, SLACK_MS, Backend, Call
from support.redis.client import RedisClient

TENANTS = ("a", "a:%", "d")  # the first two share a partition
SCOPES = ("conversation", "a:b")
KEYS = [Key(scope, tenant, name) for scope in SCOPES for tenant in TENANTS for name in ("1", "2")]

LONG = 5000.0  # seconds after which a floor may go: the longest time to live here, and a margin

keys = st.sampled_from(KEYS)
tenants = st.sampled_from(TENANTS)
steps = st.sampled_from([100.0, 200.0, 300.0])
request_ids = st.sampled_from(["r1", "r:2"])
fingerprints = st.sampled_from([b"one", b"two"])
principals = st.sampled_from(["", "owner", "é 日本"])
onces = st.none() | st.builds(Once, request_ids, fingerprints)
tokens = st.sampled_from(["2.t1", "2.t2"])


class Backends(RuleBasedStateMachine):
    """Runs the same call on both, and compares the results."""

    def __init__(self, loop: asyncio.Runner, redis: RedisClient, url: str, **options: Any) -> None:
        super().__init__()
        self._run = loop.run
        self._redis = redis
        self._prefix = f"test-{uuid.uuid4().hex}"
        self._day = 1_000_000.0
        self._since = 0.0
        self._ahead = 0
        memory = MemoryStorage(
            PARTITIONS,
            log_length=10_000,
            request_ttl_ms=round(REQUEST_TTL * 1000),
            clock=lambda: self._day,
            monotonic=lambda: self._since,
        )
        storage = open_storage(
            url,
            partitions=PARTITIONS,
            prefix=self._prefix,
            request_ttl=REQUEST_TTL,
            longest_ttl=300.0,
            timeout=10,
            **options,
        )
        self._memory = Backend(memory)
        self._other = Backend(storage)

    def teardown(self) -> None:
        """Remove all data."""
        self._run(self._other.storage.close())
        self._redis.forget(self._prefix)

    def same(self, tenant: str, *calls: Call) -> Any:
        """Run one call on both, or one call for each, and return their common outcome."""
        partition = partition_of(tenant, PARTITIONS)
        expected = self._run(self._memory.outcome(partition, calls[0]))
        found = self._run(self._other.outcome(partition, calls[-1]))
        assert self._comparable(found, expected) == expected
        return expected

    def _comparable(self, found: Any, expected: Any) -> Any:
        """The outcome with the model's times to live, if the other's are close enough."""
        match found, expected:
            case (Read(), Read()):
                entries = map(self._comparable, found.entries, expected.entries)
                return Read(found.revision, list(entries))
            case (Leased(), Leased()):
                found = found._replace(entry=self._comparable(found.entry, expected.entry))
            case (Stored(), Stored()):
                pass
            case _:
                return found
        assert expected.ttl_ms - SLACK_MS < found.ttl_ms <= expected.ttl_ms
        return found._replace(ttl_ms=expected.ttl_ms)

    @rule(
        key=keys,
        context=st.binary(max_size=40),
        ttl=steps,
        expected=st.one_of(
            st.none(),
            st.just("absent"),
            st.just("current"),
            st.integers(min_value=1, max_value=30),
        ),
        lease=st.one_of(st.just(""), tokens),
        once=onces,
        principal=principals,
        fields=st.sampled_from([(), ("*",), ("user_id",), ("llm_config.`é\n`", "*")]),
    )
    def write(
        self,
        key: Key,
        context: bytes,
        ttl: float,
        expected: str | int | None,
        lease: str,
        once: Once | None,
        principal: str,
        fields: tuple[str, ...],
    ) -> None:
        """Put, with any condition: none, absent, the current version, any earlier revision.

        With or without a lease.
        """
        partition = partition_of(key.tenant_id, PARTITIONS)
        logged = len(self._memory.logs[partition])
        rank: int | None
        match expected:
            case "absent":
                rank = ABSENT
            case "current":
                rank = self._current(key)
            case int():
                rank = expected % logged + 1 if logged else ABSENT
            case _:
                rank = None

        def on(backend: Backend) -> Call:
            version = backend.revision(partition, rank) if rank else rank
            ttl_ms = round(ttl * 1000)
            write = Write(key, context, ttl_ms, version, lease, once, principal, fields)
            return lambda storage: storage.write(write)

        self.same(key.tenant_id, on(self._memory), on(self._other))

    def _current(self, key: Key) -> int:
        """The rank of the live entry's version."""
        stored = self._run(self._memory.storage.read([key])).entries[0]
        partition = partition_of(key.tenant_id, PARTITIONS)
        return self._memory.rank(partition, stored.version) if stored else ABSENT

    @rule(
        key=keys,
        token=tokens,
        ttl=steps,
        renews=st.booleans(),
        request_id=st.one_of(st.just(""), request_ids),
    )
    def lease(self, key: Key, token: str, ttl: float, renews: bool, request_id: str) -> None:
        """Request the right to create an entry, or to renew the current one."""
        partition = partition_of(key.tenant_id, PARTITIONS)
        rank = self._current(key) if renews else ABSENT

        def on(backend: Backend) -> Call:
            renewed = backend.revision(partition, rank) if rank else ABSENT
            wanted = LeaseAttempt(key, token, round(ttl * 1000), renewed, request_id)
            return lambda storage: storage.lease(wanted)

        self.same(key.tenant_id, on(self._memory), on(self._other))

    @rule(key=keys, token=tokens)
    def release(self, key: Key, token: str) -> None:
        """Release a lease, held or not."""
        self.same(key.tenant_id, lambda storage: storage.release(key, token))

    @rule(key=keys, request_id=request_ids, fingerprint=fingerprints)
    def recall(self, key: Key, request_id: str, fingerprint: bytes) -> None:
        """Read the outcome of an earlier request."""
        self.same(key.tenant_id, lambda storage: storage.recall(key, Once(request_id, fingerprint)))

    @rule(
        tenant=tenants,
        names=st.lists(st.integers(0, 3), min_size=1, max_size=5),
        once=onces,
        principal=principals,
    )
    def invalidate(self, tenant: str, names: list[int], once: Once | None, principal: str) -> None:
        """Invalidate some entries of a tenant, possibly with repeated keys."""
        own = [key for key in KEYS if key.tenant_id == tenant]
        named = once and once._replace(fingerprint=f"{names} {once.fingerprint!r}".encode())
        chosen = [own[i] for i in names]
        self.same(tenant, lambda storage: storage.invalidate(chosen, named, principal))

    @rule(tenant=tenants, scope=st.sampled_from(["", *SCOPES]), once=onces, principal=principals)
    def invalidate_tenant(self, tenant: str, scope: str, once: Once | None, principal: str) -> None:
        """Raise a floor."""
        named = once and once._replace(fingerprint=f"{scope} {once.fingerprint!r}".encode())
        self.same(
            tenant, lambda storage: storage.invalidate_tenant(tenant, scope, named, principal)
        )

    @rule(seconds=steps | st.just(LONG))
    def time_passes(self, seconds: float) -> None:
        """Advance the time of both, on Redis that of its revisions too, by which floors age."""
        self._since += seconds
        self._ahead += round(seconds * 1000) + 1
        now = round(time.time() * 1000) + self._ahead
        for partition in range(PARTITIONS):
            log = f"{{{self._prefix}:{partition}}}:log"
            if self._redis("EXISTS", log):
                self._redis("XSETID", log, f"{now}-0")
        for name in self._redis.names(self._prefix):
            left = self._redis("PTTL", name)
            if left >= 0:
                self._redis("PEXPIRE", name, max(0, left - round(seconds * 1000)))

    @rule(seconds=st.sampled_from([-1000.0, -0.001, 0.001, 1000.0]))
    def clock_is_set(self, seconds: float) -> None:
        """Set the model's time of day, which must have no observable effect."""
        self._day += seconds

    @invariant()
    def entries_are_the_same(self) -> None:
        """Both return the same entries of a partition, as of the same revision."""
        for partition in range(PARTITIONS):
            own = [key for key in KEYS if partition_of(key.tenant_id, PARTITIONS) == partition]
            if own:
                self.same(own[0].tenant_id, _reading(own))

    @invariant()
    def logs_are_the_same(self) -> None:
        """Both logs have the same events in the same order."""
        for ours, theirs in zip(self._memory.logs, self._other.logs, strict=True):
            assert [event._replace(revision=0) for event in ours] == [
                event._replace(revision=0) for event in theirs
            ]

    @invariant()
    def logs_are_the_same_from_their_ends(self) -> None:
        """Read backwards, page by page, each log has its events too."""
        for backend in (self._memory, self._other):
            for partition, log in enumerate(backend.logs):
                assert self._run(backend.backwards(partition)) == log[::-1]


def _reading(own: Sequence[Key]) -> Call:
    return lambda storage: storage.read(own)


def test_redis_does_what_memory_does(redis_url: str) -> None:
    """No sequence of operations distinguishes the two backends (S6)."""
    assert len({partition_of(tenant, PARTITIONS) for tenant in TENANTS}) == PARTITIONS
    with asyncio.Runner() as loop, RedisClient(redis_url) as redis:

        class Here(Backends):
            def __init__(self) -> None:
                super().__init__(loop, redis, redis_url)

        run_state_machine_as_test(Here, settings=settings(max_examples=100, stateful_step_count=30))

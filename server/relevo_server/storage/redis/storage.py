"""The Redis backend, and its layout of keys.

With the prefix `relevo`, the keys are these; those of one partition share a hash tag:

    relevo:layout                        hash: partitions, version of this layout, ring
    relevo:recount                       hash: whose turn it is to recount; with a TTL
    {relevo:17}:log                      stream: the partition's events
    {relevo:17}:state                    hash: revision, first, floor:TENANT, floor:TENANT:SCOPE,
                                         longest_ttl, and while floors are swept: swept
    {relevo:17}:keys                     hash: the data key of each TENANT, wrapped
    {relevo:17}:usage                    hash: recount, of:TENANT; only with quotas
    {relevo:17}:entry:SCOPE:TENANT:ID    hash: version, created, ttl, context, mark; with a TTL
    {relevo:17}:lease:SCOPE:TENANT:ID    hash: digest, masked, revision, request; with a TTL
    {relevo:17}:request:KEY:REQUEST_ID   hash: the answer of a Put; with a TTL
    {relevo:17}:request:TENANT:REQUEST_ID  hash: the answer of an Invalidate; with a TTL

Only entries, leases and requests have a TTL, so a `volatile-*` eviction policy can never
evict a log, a floor or a data key.
"""

from collections.abc import Sequence
from typing import Any

from relevo_server import errors, revisions
from relevo_server.keys import Key
from relevo_server.quotas import Quota
from relevo_server.storage import lease_tokens
from relevo_server.storage.events import Tail
from relevo_server.storage.interface import (
    ABSENT,
    LeaseAttempt,
    Leased,
    Limits,
    Once,
    Read,
    Storage,
    Write,
    Written,
    within,
)
from relevo_server.storage.key_records import ChangedKeyError
from relevo_server.storage.redis import records
from relevo_server.storage.redis.client import Client, Script
from relevo_server.storage.redis.connection import Argument
from relevo_server.storage.redis.following import Following
from relevo_server.storage.redis.in_flight import InFlightReads
from relevo_server.storage.redis.inspection import RedisInspection
from relevo_server.storage.redis.key_records import RedisKeyRecords
from relevo_server.storage.redis.readiness import Readiness
from relevo_server.storage.redis.recent import RecentContexts

_READ = Script("read")
_WRITE = Script("write")
_RECALL = Script("recall")
_INVALIDATE = Script("invalidate")
_INVALIDATE_TENANT = Script("invalidate_tenant")
_LEASE = Script("lease")
_RELEASE = Script("release")
_TOUCH = Script("touch")


class RedisStorage(Storage):
    """Keeps entries in Redis or a Redis Cluster; every method is one script in one slot."""

    def __init__(
        self,
        client: Client,
        partitions: int,
        *,
        prefix: str,
        log_length: int,
        request_ttl_ms: int,
        longest_ttl_ms: int,
        recent_bytes: int = 0,
        is_encrypted: bool = False,
    ) -> None:
        super().__init__(partitions)
        self._client = client
        self._prefix = prefix
        self._log_length = log_length
        self._request_ttl_ms = request_ttl_ms
        self._longest_ttl_ms = longest_ttl_ms
        self._recent = RecentContexts(recent_bytes)
        self._in_flight = InFlightReads()
        self._following = Following(client, prefix)
        self._readiness = Readiness(client, prefix, partitions, is_encrypted=is_encrypted)
        self.inspection = RedisInspection(
            client, self._run, partitions=partitions, prefix=prefix, log_length=log_length
        )
        self.data_keys = RedisKeyRecords(
            self._run, partitions=partitions, prefix=prefix, log_length=log_length
        )

    async def check(self) -> None:
        """Try the commands that calls need, and check the layout."""
        await self._readiness.check()

    async def eviction_policies(self) -> frozenset[str]:
        """The policy of the one Redis or Sentinel master, or of every master of a Cluster."""
        return await self._client.eviction_policies()

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def read(
        self,
        keys: Sequence[Key],
        known_versions: Sequence[int] = (),
        limits: Limits | None = None,
    ) -> Read:
        """Run one script, whatever the number of keys. What is left out, Redis does not send."""
        return await self._read(keys, known_versions, limits)

    async def read_within(
        self, keys: Sequence[Key], limits: Limits, *, position: int | None = None
    ) -> Read:
        """Run one script.

        Reads of the same keys that are in flight are awaited first: their contexts are then
        cached and not sent twice.
        """
        if limits.each:
            await self._in_flight.end_of(keys)
        return await self._read(keys, (), limits, position)

    async def write(self, write: Write) -> Written:
        """Run one script: the comparison, the value, its event and the request's record."""
        tag, name = self._tag(write.key.tenant_id), records.text(write.key)
        keys = [f"{tag}:state", f"{tag}:log", records.usage(tag)]
        keys += [f"{tag}:entry:{name}", f"{tag}:lease:{name}", records.data_keys(tag)]
        limits = self.limits_of(write.key.tenant_id)
        args = records.arguments(write, self._log_length, limits)
        if write.once:
            keys.append(records.request(tag, write.key, write.once.request_id))
            args += [write.once.fingerprint, self._request_ttl_ms]
        answer = await self._run(_WRITE, keys, args)
        if answer[0] == b"conflict":
            expected = ABSENT if write.expected is None else write.expected
            raise errors.conflict(write.key, expected, revisions.from_log_id(answer[1]))
        if answer[0] == b"lost":
            raise errors.lease_lost(write.key)
        if answer[0] == b"rekeyed":
            raise ChangedKeyError
        if answer[0] == b"quota" and limits:
            raise errors.stored_too_much(Quota(answer[1].decode()), limits, write.key.tenant_id)
        return records.written(write.key, answer)

    async def recall(self, key: Key, once: Once) -> Written | None:
        """Read the request's record."""
        record = records.request(self._tag(key.tenant_id), key, once.request_id)
        answer = await self._run(_RECALL, [record], [once.fingerprint])
        return None if answer[0] == b"unknown" else records.written(key, answer)

    async def invalidate(
        self, keys: Sequence[Key], once: Once | None = None, principal: str = ""
    ) -> tuple[int, int]:
        """Run one script; each key has an event of its own."""
        tenant_id = keys[0].tenant_id
        tag = self._tag(tenant_id)
        tenant_floor, _ = records.floors(keys[0])
        counted = tenant_id if self.limits_of(tenant_id) else ""
        args: list[Argument] = [self._log_length, tenant_floor, principal, counted]
        for key in keys:
            args += [records.floors(key)[1], records.text(key)]
        names = [f"{tag}:{kind}:{records.text(key)}" for kind in ("entry", "lease") for key in keys]
        names = [f"{tag}:state", f"{tag}:log", records.usage(tag), *names]
        return await self._end(_INVALIDATE, tenant_id, names, args, once)

    async def invalidate_tenant(
        self, tenant_id: str, scope: str, once: Once | None = None, principal: str = ""
    ) -> int:
        """Run one script; the entries stay stored, below the new floor."""
        tag = self._tag(tenant_id)
        args: list[Argument] = [
            self._log_length,
            records.floor(tenant_id, scope),
            tenant_id,
            scope,
            principal,
            self._longest_ttl_ms,
        ]
        names = [f"{tag}:state", f"{tag}:log"]
        revision, _ = await self._end(_INVALIDATE_TENANT, tenant_id, names, args, once)
        return revision

    async def lease(self, attempt: LeaseAttempt) -> Leased:
        """Run one script."""
        tag, name = self._tag(attempt.key.tenant_id), records.text(attempt.key)
        keys = [f"{tag}:state", f"{tag}:entry:{name}", f"{tag}:lease:{name}"]
        renewed = revisions.to_log_id(attempt.renewed)
        args: list[Argument] = [*records.floors(attempt.key), renewed]
        args += [lease_tokens.digest(attempt.token), attempt.ttl_ms]
        args.append(lease_tokens.digest(attempt.request_id))
        args.append(lease_tokens.masked(attempt.token, attempt.request_id))
        return records.leased(keys[1], attempt, await self._run(_LEASE, keys, args))

    async def release(self, key: Key, token: str) -> None:
        """Run one script."""
        tag, name = self._tag(key.tenant_id), records.text(key)
        keys = [f"{tag}:state", f"{tag}:log", f"{tag}:lease:{name}"]
        await self._run(_RELEASE, keys, [self._log_length, name, lease_tokens.proof(token)])

    async def touch(self, key: Key) -> None:
        """Run one script."""
        tag = self._tag(key.tenant_id)
        await self._run(
            _TOUCH, [f"{tag}:state", f"{tag}:entry:{records.text(key)}"], records.floors(key)
        )

    async def tail(
        self, partition: int, position: int | None, limit: int, *, seen: Sequence[int] = ()
    ) -> Tail:
        """Run one script."""
        await self._know_layout()
        return await self._following.tail(partition, position, limit, seen)

    async def wait(self, partition: int, position: int, seconds: float) -> None:
        """Wait until Redis tells of a change of the log."""
        await self._following.wait(partition, position, seconds)

    async def _end(
        self,
        script: Script,
        tenant_id: str,
        names: list[str],
        args: list[Argument],
        once: Once | None,
    ) -> tuple[int, int]:
        """Run a script that ends entries: the revision, and how many entries were live."""
        if once:
            names.append(records.request(self._tag(tenant_id), tenant_id, once.request_id))
            args += [once.fingerprint, self._request_ttl_ms]
        revision, *count = await self._run(script, names, args)
        if revision == b"reused":
            raise errors.request_id_reused(tenant_id)
        return revisions.from_log_id(revision), int(count[0])

    async def _read(
        self,
        keys: Sequence[Key],
        known_versions: Sequence[int],
        limits: Limits | None = None,
        position: int | None = None,
    ) -> Read:
        tag = self._tag(keys[0].tenant_id)
        names = [f"{tag}:entry:{records.text(key)}" for key in keys]
        known_versions = known_versions or [ABSENT] * len(keys)
        cached = self._recent.of(keys)
        args: list[Argument] = list(limits or ("", ""))
        args += [field for key in keys for field in records.floors(key)]
        for version, context in zip(known_versions, cached, strict=True):
            args.append(records.unneeded(version, context))
        log: list[str] = []
        if position:
            log.append(f"{tag}:log")
            args.append(revisions.to_log_id(position))
        with self._in_flight.marked(keys):
            revision, *found = await self._run(
                _READ, [f"{tag}:state", *names, *log], args, is_alone=limits is not None
            )
        if revision == b"gap":
            raise errors.unavailable("the log no longer has a revision that was read")
        entries = [
            self._recent.complete(
                key, context, version, records.stored(name, *values), records.mark(values)
            )
            for key, context, version, name, values in zip(
                keys, cached, known_versions, names, found, strict=True
            )
        ]
        return Read(revisions.from_log_id(revision), within(entries, limits) if limits else entries)

    async def _run(
        self,
        script: Script,
        keys: Sequence[str],
        args: Sequence[Argument] = (),
        *,
        is_alone: bool = False,
    ) -> Any:
        await self._know_layout()
        return await self._client.run(script, keys, args, is_alone=is_alone)

    async def _know_layout(self) -> None:
        if not self._readiness.has_layout:  # Redis could not be reached when the server started
            await self._readiness.check_layout()

    def _tag(self, tenant_id: str) -> str:
        return records.hash_tag(self._prefix, self.partition_of(tenant_id))

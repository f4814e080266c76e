"""The pending entries of one queue, as one consumer of its group holds them.

Redis counts deliveries by reads and claims, but the begins of handlers are what matters: a
consumer may die between its read and its handler, and one that was suspended may claim entries
that it is still handling. So XREADGROUP counts 1, claims do not count (they use JUSTID), and
each handler adds 1 when it begins: the count of `XPENDING` is 1 + the handlers that have begun.

A consumer that was suspended does not know that another one has claimed its entries. Redis
does, so every operation on an entry is a script that first checks who holds the entry.

A consumer group has an identity, which tells a group that was created again after a loss from
the one before: the name of an additional consumer, which never reads. The first inspection
creates it.
"""

import uuid
from collections.abc import Collection
from typing import Any, NamedTuple

from relevo_client._context.hiding import hides

# An entry that is neither pending nor in the stream was trimmed while this consumer held it: no
# other consumer holds it.
_ON_HELD = """
local verb, group, consumer = ARGV[1], ARGV[2], ARGV[3]
local deliveries = 0
for i = 4, #ARGV do
  local id = ARGV[i]
  local pending = redis.call('XPENDING', KEYS[1], group, id, id, 1)[1]
  if pending and pending[2] == consumer then
    deliveries = math.max(pending[4], 1)
    if verb == 'keep' then
      redis.call('XCLAIM', KEYS[1], group, consumer, 0, id, 'JUSTID')
    elseif verb == 'begin' then
      redis.call('XCLAIM', KEYS[1], group, consumer, 0, id, 'RETRYCOUNT', deliveries + 1, 'JUSTID')
    elseif verb == 'acknowledge' then
      redis.call('XACK', KEYS[1], group, id)
    end
  elseif not pending and #redis.call('XRANGE', KEYS[1], id, id) == 0 then
    deliveries = 1
  end
end
return deliveries
"""

_INSPECT = """
local group, consumer, idle, seen, new = unpack(ARGV)
local prefix = 'relevo-group-'

local function identity()
  if seen ~= '' then
    -- Not XINFO each time: it takes longer the more consumers there have been. A Redis without
    -- free memory refuses to create one; XINFO follows then.
    local created = redis.pcall('XGROUP', 'CREATECONSUMER', KEYS[1], group, seen)
    if created == 0 then return seen end
    if created == 1 then redis.call('XGROUP', 'DELCONSUMER', KEYS[1], group, seen) end
  end
  for _, each in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], group)) do
    if string.sub(each[2], 1, #prefix) == prefix then return each[2] end
  end
  redis.call('XGROUP', 'CREATECONSUMER', KEYS[1], group, prefix .. new)
  return prefix .. new
end

-- Raises NOGROUP even if the stream itself is gone, unlike XINFO and XGROUP.
redis.call('XPENDING', KEYS[1], group, '-', '+', 1)
local found = {identity()}
if idle == '' then return found end
local left = redis.call('XPENDING', KEYS[1], group, 'IDLE', idle, '-', '+', 1)[1]
if not left then return found end
local id = left[1]
redis.call('XCLAIM', KEYS[1], group, consumer, 0, id, 'JUSTID')
local entry = redis.call('XRANGE', KEYS[1], id, id)[1]
if entry then return {found[1], id, math.max(left[4] - 1, 0), entry[2]} end
-- It was trimmed: Redis 6.2 keeps the claim, and Redis 7 ends it.
redis.call('XACK', KEYS[1], group, id)
return {found[1], id, 0, {}}
"""


class NotHeldError(Exception):
    """Another consumer holds the entry now, or has acknowledged it."""


@hides("fields")
class AbandonedEntry(NamedTuple):
    """An entry that its consumer left unacknowledged, and that this consumer has claimed."""

    entry: bytes
    """The entry's id."""
    begun: int
    """The number of times that a handler has begun with the entry."""
    fields: dict[bytes, bytes]
    """Empty if the entry was trimmed: it is then acknowledged, as it cannot be handled."""


class Inspection(NamedTuple):
    """The result of an inspection of the queue."""

    group: bytes
    """The group's identity, which changes if the queue is lost."""
    abandoned: AbandonedEntry | None
    """The entry that was claimed, or None."""


class Entries:
    """The entries of one queue. All methods raise the errors of redis-py.

    Args:
        client: redis-py's asyncio client.
        queue: the stream.
        group: the consumer group.
        consumer: the consumer that holds the entries.

    """

    def __init__(self, client: Any, queue: str, group: str, consumer: str) -> None:
        self._client = client
        self._queue = queue
        self._group = group
        self._consumer = consumer
        self._held = client.register_script(_ON_HELD)
        self._inspect = client.register_script(_INSPECT)

    async def create_group(self) -> None:
        """Create the consumer group, from the queue's first entry on, unless it exists."""
        try:
            await self._client.xgroup_create(self._queue, self._group, id="0", mkstream=True)
        except Exception as error:
            if "BUSYGROUP" not in str(error):
                raise

    async def keep(self, entries: Collection[bytes]) -> None:
        """Reset the idle time of those of the entries that this consumer still holds."""
        await self._run_on_held("keep", *entries)

    async def begin(self, entry: bytes) -> int:
        """Count the begin of a handler, and return the count. Raises NotHeldError."""
        return await self._held_or_raise("begin", entry)

    async def check(self, entry: bytes) -> None:
        """Raise NotHeldError unless this consumer holds the entry."""
        await self._held_or_raise("check", entry)

    async def acknowledge(self, entry: bytes) -> None:
        """Acknowledge an entry. Raises NotHeldError."""
        await self._held_or_raise("acknowledge", entry)

    async def inspect(self, idle: float | None = None, seen: bytes = b"") -> Inspection:
        """Read the group's identity, and claim an abandoned entry.

        Args:
            idle: claim the oldest entry that is idle for this many seconds, whoever holds it.
                None claims nothing.
            seen: the group's identity at the last inspection, or empty.

        """
        milliseconds = "" if idle is None else round(idle * 1000)
        arguments = [self._group, self._consumer, milliseconds, seen, uuid.uuid4().hex]
        group, *abandoned = await self._inspect(keys=[self._queue], args=arguments)
        if not abandoned:
            return Inspection(group, None)
        entry, begun, parts = abandoned
        return Inspection(
            group, AbandonedEntry(entry, begun, dict(zip(parts[::2], parts[1::2], strict=True)))
        )

    async def _held_or_raise(self, verb: str, entry: bytes) -> int:
        deliveries = await self._run_on_held(verb, entry)
        if not deliveries:
            raise NotHeldError
        return deliveries

    async def _run_on_held(self, verb: str, *entries: bytes) -> int:
        arguments = [verb, self._group, self._consumer, *entries]
        deliveries: int = await self._held(keys=[self._queue], args=arguments)
        return deliveries

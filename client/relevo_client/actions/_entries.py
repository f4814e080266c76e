"""The pending entries of one queue, as one consumer of its group has them.

Redis counts an entry's deliveries, but what it counts is not what matters: a consumer may
die between its read and its handler, and one that stands still may claim what it has in
hand. So reading is the first delivery that Redis counts (XREADGROUP does so by itself),
no claim counts (they are made with JUSTID), and each handler adds one as it begins: what
`XPENDING` shows is 1 + the handlers that have begun.

A consumer that stood still does not know that its entries were claimed by another one.
Redis does, so whatever is done with an entry is done by a script that first looks whose
the entry is.

A consumer group has an identity, so that a group that was created anew after a loss is
told from the one before: the name of one more consumer, which never reads. Whoever looks
first gives it.
"""

import uuid
from collections.abc import Collection
from typing import Any, NamedTuple

# A stream's entry that is neither pending nor there was trimmed while it was in hand: it is
# nobody else's.
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
local group, consumer, idle, known, new = unpack(ARGV)
local prefix = 'relevo-group-'

local function identity()
  if known ~= '' then
    -- Not XINFO at each look: it takes the longer the more consumers there have been. A
    -- Redis that is full refuses to create, and is asked by XINFO.
    local created = redis.pcall('XGROUP', 'CREATECONSUMER', KEYS[1], group, known)
    if created == 0 then return known end
    if created == 1 then redis.call('XGROUP', 'DELCONSUMER', KEYS[1], group, known) end
  end
  for _, each in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], group)) do
    if string.sub(each[2], 1, #prefix) == prefix then return each[2] end
  end
  redis.call('XGROUP', 'CREATECONSUMER', KEYS[1], group, prefix .. new)
  return prefix .. new
end

-- Raises NOGROUP, which XINFO and XGROUP do not if the stream is gone, too.
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
    """The entry is another consumer's now, or another one has done it."""


class AbandonedEntry(NamedTuple):
    """An entry that was left undone, and is this consumer's from now on."""

    entry: bytes
    begun: int
    """How many handlers have begun with it."""
    fields: dict[bytes, bytes]
    """Empty if the entry was trimmed: then it is acknowledged, as nobody can do it."""


class Inspection(NamedTuple):
    """What a look at the queue has found."""

    group: bytes
    """Which group it is; another one if the queue was lost meanwhile."""
    abandoned: AbandonedEntry | None
    """An entry that was taken over, or None."""


class Entries:
    """One queue's entries. All methods raise what redis-py raises.

    Args:
        client: an asyncio client of redis-py's.
        queue: the stream.
        group: the consumer group.
        consumer: the consumer that has the entries.

    """

    def __init__(self, client: Any, queue: str, group: str, consumer: str) -> None:
        self._client = client
        self._queue = queue
        self._group = group
        self._consumer = consumer
        self._held = client.register_script(_ON_HELD)
        self._inspect = client.register_script(_INSPECT)

    async def create_group(self) -> None:
        """Create the consumer group, for all that the queue holds, unless it is there."""
        try:
            await self._client.xgroup_create(self._queue, self._group, id="0", mkstream=True)
        except Exception as error:
            if "BUSYGROUP" not in str(error):
                raise

    async def keep(self, entries: Collection[bytes]) -> None:
        """Set back the idle time of those entries that are still this consumer's."""
        await self._run_on_held("keep", *entries)

    async def begin(self, entry: bytes) -> int:
        """Count that a handler begins: of how many that is. Raises NotHeldError."""
        return await self._held_or_raise("begin", entry)

    async def check(self, entry: bytes) -> None:
        """Raise NotHeldError if the entry is another consumer's."""
        await self._held_or_raise("check", entry)

    async def acknowledge(self, entry: bytes) -> None:
        """Acknowledge an entry. Raises NotHeldError."""
        await self._held_or_raise("acknowledge", entry)

    async def inspect(self, idle: float | None = None, seen: bytes = b"") -> Inspection:
        """Read which group it is, and take over what was left undone.

        Args:
            idle: claim the oldest entry that is idle for so many seconds, whoever has it.
                None claims nothing.
            seen: which group it was at the last inspection, if there was one.

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

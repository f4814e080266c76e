"""Revisions: 64-bit numbers that only grow within a partition.

A revision is the id of an entry in the partition's event log, packed as
`milliseconds << 20 | sequence`. The log takes its ids from the store's clock, but
never an id below its last one, as Redis Streams do:
https://redis.io/docs/latest/develop/data-types/streams/#entry-ids
"""

SEQUENCE_BITS = 20
MAX_SEQUENCE = (1 << SEQUENCE_BITS) - 1
MAX_REVISION = (1 << 63) - 1


def pack(milliseconds: int, sequence: int) -> int:
    """The revision of the log entry `milliseconds-sequence`."""
    return milliseconds << SEQUENCE_BITS | sequence


def milliseconds(revision: int) -> int:
    """The time of the write: milliseconds since 1970, by the store's clock."""
    return revision >> SEQUENCE_BITS


def after(last: int, now_ms: int) -> int:
    """The revision that follows `last` at the time `now_ms`, even if the clock stepped back."""
    return max(pack(now_ms, 0), last + 1)


def to_log_id(revision: int) -> str:
    """The id of the log entry in Redis's form: `milliseconds-sequence`."""
    return f"{revision >> SEQUENCE_BITS}-{revision & MAX_SEQUENCE}"


def from_log_id(log_id: bytes) -> int:
    """The revision of a log entry. Raises ValueError if `log_id` is malformed."""
    head, _, tail = log_id.partition(b"-")
    return pack(int(head), int(tail))

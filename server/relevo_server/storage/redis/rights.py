"""Finds out which commands a user of Redis may not run, by running each on a key of its own.

A server runs them within scripts, where Redis checks the same rights. No other way works on every
version: `ACL DRYRUN` needs Redis 7, and a right that few users have.
"""

import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from redis import exceptions as redis_errors

from relevo_server.storage.redis.connection import Argument

Command = Callable[..., Awaitable[Any]]
"""Sends one command. Raises RedisError or OSError."""

_LIFE_MS = 60_000
"""How long a key lives that cannot be deleted."""


async def refusals(command: Command, tag: str) -> dict[str, str]:
    """The refused commands, by name, each with Redis's own words.

    `tag` begins the names of two keys, which are written and deleted. Raises RedisError or OSError
    if Redis does not answer, or refuses for another reason than missing rights.
    """
    refused: dict[str, str] = {}
    name = f"{tag}:check:{secrets.token_hex(8)}"
    for words in _trials(f"{name}:hash", f"{name}:stream"):
        try:
            await command(*words)
        except redis_errors.NoPermissionError as error:
            refused[str(words[0])] = str(error)
        except redis_errors.ResponseError as error:
            if type(error) is not redis_errors.ResponseError:
                raise  # a replica or no memory left, say: the next command would fail too
            # Redis ran it. It failed because an earlier command was refused, and wrote nothing.
    return refused


def _trials(hashed: str, stream: str) -> Sequence[tuple[Argument, ...]]:
    """A call of each command that scripts or the server use; the keys are gone at the end."""
    return (
        ("HSET", hashed, "field", "value"),
        ("PEXPIRE", hashed, _LIFE_MS),
        ("HGET", hashed, "field"),
        ("HMGET", hashed, "field"),
        ("HSTRLEN", hashed, "field"),
        ("PTTL", hashed),
        ("HDEL", hashed, "none"),
        ("HSCAN", hashed, "0"),
        ("XADD", stream, "1-1", "field", "value"),
        ("PEXPIRE", stream, _LIFE_MS),
        ("XSETID", stream, "1-2"),
        ("XLEN", stream),
        ("XRANGE", stream, "-", "+"),
        ("XREVRANGE", stream, "+", "-"),
        ("XREAD", "COUNT", 1, "STREAMS", stream, "0"),
        ("XDEL", stream, "1-1"),
        ("EVAL", "return 1", 1, hashed),
        ("SCAN", "0", "MATCH", f"{hashed}:none", "COUNT", 1),
        ("DEL", hashed, stream),
    )

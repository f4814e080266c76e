"""Reads the state of Redis servers: their version, memory, eviction policy and clock."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from relevo_server.storage.inspection import DatabaseStatus
from relevo_server.storage.redis.pool import Pool, ask_each

Info: TypeAlias = Mapping[str, str]
"""The fields of one server's answer to INFO."""

_POLICY = "maxmemory_policy"


async def database_status(servers: Sequence[Pool]) -> DatabaseStatus:
    """The state of one server, or of all masters of a Cluster together.

    Memory is the sum of all, and their clock is the one that is furthest from this host's. What
    the servers do not report, because a command is forbidden for example, is unknown.
    """
    identities = await info(servers, "server")
    memory = await info(servers, "memory")
    used_bytes, max_bytes = memory_of(memory)
    begun = time.time()
    times = await ask_each(servers, "TIME")
    middle = (begun + time.time()) / 2
    return DatabaseStatus(
        version=", ".join(sorted({_version(each) for each in identities} - {""})),
        used_bytes=used_bytes,
        max_bytes=max_bytes,
        eviction_policy=", ".join(sorted(await _policies(servers, memory))),
        clock_offset=max((_seconds(each) - middle for each in times), key=abs, default=None),
    )


async def eviction_policies(servers: Sequence[Pool]) -> frozenset[str]:
    """The servers' `maxmemory-policy`, by INFO or, if that is forbidden, by CONFIG GET.

    Empty if both are forbidden.
    """
    return await _policies(servers, await info(servers, "memory"))


async def info(servers: Sequence[Pool], section: str) -> Sequence[Info]:
    """A section of INFO, of each server that answers."""
    return [_fields(answer) for answer in await ask_each(servers, "INFO", section)]


def memory_of(memory: Sequence[Info]) -> tuple[int, int]:
    """The bytes that the servers use and may use: 0 if that is unknown, or if there is no limit.

    `memory` is their section `memory`.
    """
    maximums = [_number(each, "maxmemory") for each in memory]
    used = sum(_number(each, "used_memory") for each in memory)
    return used, sum(maximums) if all(maximums) else 0


async def _policies(servers: Sequence[Pool], memory: Sequence[Info]) -> frozenset[str]:
    names = {each[_POLICY] for each in memory if _POLICY in each}
    if not names:
        for answer in await ask_each(servers, "CONFIG", "GET", "maxmemory-policy"):
            match answer:
                case [_, bytes() as policy]:
                    names.add(policy.decode())
                case _:
                    pass
    return frozenset(names)


def _fields(answer: Any) -> Info:
    text: str = answer.decode(errors="replace") if isinstance(answer, bytes) else ""
    lines = (line.partition(":") for line in text.splitlines())
    return {name: value.strip() for name, _, value in lines}


def _version(fields: Info) -> str:
    """The name and version of a server. Valkey also reports the Redis that it is compatible to."""
    for name in ("valkey", "redis"):
        if f"{name}_version" in fields:
            return f"{name} {fields[f'{name}_version']}"
    return ""


def _number(fields: Info, name: str) -> int:
    value = fields.get(name, "")
    return int(value) if value.isascii() and value.isdecimal() else 0


def _seconds(answer: Any) -> float:
    """The seconds since 1970 in an answer to TIME."""
    seconds, microseconds = answer
    return int(seconds) + int(microseconds) / 1_000_000

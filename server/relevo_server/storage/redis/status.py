"""Reads the state of Redis servers: their version, memory, eviction policy and clock."""

import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeAlias

from relevo_server.storage.inspection import DatabaseStatus

Everywhere: TypeAlias = Callable[..., Awaitable[list[Any]]]
"""Sends a command to every server. Returns the answers; servers that fail have none."""


async def database_status(execute_everywhere: Everywhere) -> DatabaseStatus:
    """The state of one server, or of all masters of a Cluster together.

    Memory is the sum of all, and their clock is the one that is furthest from this host's. What
    the servers do not report, because a command is forbidden for example, is unknown.
    """
    servers = [_fields(answer) for answer in await execute_everywhere("INFO", "server")]
    used_bytes, max_bytes = await memory(execute_everywhere)
    begun = time.time()
    times = await execute_everywhere("TIME")
    middle = (begun + time.time()) / 2
    return DatabaseStatus(
        version=", ".join(sorted({_version(each) for each in servers} - {""})),
        used_bytes=used_bytes,
        max_bytes=max_bytes,
        eviction_policy=", ".join(sorted(await eviction_policies(execute_everywhere))),
        clock_offset=max((_seconds(each) - middle for each in times), key=abs, default=None),
    )


async def memory(execute_everywhere: Everywhere) -> tuple[int, int]:
    """The bytes that the servers use and may use: 0 if that is unknown, or if there is no limit."""
    servers = [_fields(answer) for answer in await execute_everywhere("INFO", "memory")]
    maximums = [_number(each, "maxmemory") for each in servers]
    used = sum(_number(each, "used_memory") for each in servers)
    return used, sum(maximums) if all(maximums) else 0


async def eviction_policies(execute_everywhere: Everywhere) -> frozenset[str]:
    """The servers' `maxmemory-policy`, by INFO or, if that is forbidden, by CONFIG GET.

    Empty if both are forbidden.
    """
    answers = await execute_everywhere("INFO", "memory")
    names = {_fields(answer).get("maxmemory_policy", "") for answer in answers} - {""}
    if not names:
        answers = await execute_everywhere("CONFIG", "GET", "maxmemory-policy")
        names = {policy for answer in answers for policy in _of_config(answer)}
    return frozenset(names)


def _of_config(answer: Any) -> list[str]:
    """The value in an answer to CONFIG GET; none if there is none."""
    match answer:
        case [_, bytes() as policy]:
            return [policy.decode()]
        case _:
            return []


def _fields(answer: Any) -> dict[str, str]:
    """The fields of an answer to INFO."""
    text = answer.decode(errors="replace") if isinstance(answer, bytes) else ""
    lines: Iterable[tuple[str, str, str]] = (line.partition(":") for line in text.splitlines())
    return {name: value.strip() for name, _, value in lines}


def _version(fields: dict[str, str]) -> str:
    """The name and version of a server. Valkey also reports the Redis that it is compatible to."""
    for name in ("valkey", "redis"):
        if f"{name}_version" in fields:
            return f"{name} {fields[f'{name}_version']}"
    return ""


def _number(fields: dict[str, str], name: str) -> int:
    value = fields.get(name, "")
    return int(value) if value.isascii() and value.isdecimal() else 0


def _seconds(answer: Any) -> float:
    """The seconds since 1970 in an answer to TIME."""
    seconds, microseconds = answer
    return int(seconds) + int(microseconds) / 1_000_000

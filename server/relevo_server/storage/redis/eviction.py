"""Reads the eviction policies of Redis servers."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

Everywhere: TypeAlias = Callable[..., Awaitable[list[Any]]]
"""Sends a command to every server. Returns the answers; servers that fail have none."""

_FIELD = "maxmemory_policy"


async def policies(execute_everywhere: Everywhere) -> frozenset[str]:
    """The servers' `maxmemory-policy`, by INFO or, if that is forbidden, by CONFIG GET.

    Empty if both are forbidden.
    """
    answers = await execute_everywhere("INFO", "memory")
    names = {policy for answer in answers for policy in _of_info(answer)}
    if not names:
        answers = await execute_everywhere("CONFIG", "GET", "maxmemory-policy")
        names = {policy for answer in answers for policy in _of_config(answer)}
    return frozenset(names)


def _of_info(answer: Any) -> list[str]:
    if not isinstance(answer, bytes):
        return []
    lines = (line.partition(":") for line in answer.decode(errors="replace").splitlines())
    return [value.strip() for name, _, value in lines if name == _FIELD]


def _of_config(answer: Any) -> list[str]:
    match answer:
        case [_, bytes() as policy]:
            return [policy.decode()]
        case _:
            return []

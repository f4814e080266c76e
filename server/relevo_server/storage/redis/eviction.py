"""What Redis does when its memory is full, as far as it says so."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

Everywhere: TypeAlias = Callable[..., Awaitable[list[Any]]]
"""Sends a command to every server, and returns the answers of those that answer."""

_FIELD = "maxmemory_policy"


async def policies(ask: Everywhere) -> frozenset[str]:
    """The servers' `maxmemory-policy`, by INFO or, if that is forbidden, by CONFIG GET.

    Empty if neither may be asked.
    """
    found = {policy for answer in await ask("INFO", "memory") for policy in _of_info(answer)}
    if not found:
        answers = await ask("CONFIG", "GET", "maxmemory-policy")
        found = {policy for answer in answers for policy in _of_config(answer)}
    return frozenset(found)


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

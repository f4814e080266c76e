"""Changes of configurations, made in every mode that runs, and later in those that start."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from nooble.wiring import Mode

TIMEOUT = 10.0
"""Seconds that agent management has to acknowledge a change."""
_TEXTS = {400: "agent management refused the change", 404: "there is no such agent"}


@dataclass(frozen=True)
class Acknowledgement:
    """The answer of one mode's agent management to a change."""

    mode: Mode
    seconds: float
    """The time from the request to its answer."""
    version: int | None
    """The configuration's new version; None if the change was not acknowledged."""
    problem: str = ""
    """Why it was not."""


class Changes:
    """The changes so far."""

    def __init__(self) -> None:
        self._made: list[tuple[str, Mapping[str, Any]]] = []
        self._due: dict[Mode, dict[str, int]] = {}
        self._pending: dict[tuple[Mode, str], Mapping[str, Any]] = {}
        """The changes without an acknowledgement, by mode and key: the next one repeats them."""
        self._lock = asyncio.Lock()

    def due(self, mode: Mode) -> Mapping[str, int]:
        """The acknowledged version of each configuration that was changed in a mode, by key."""
        return dict(self._due.get(mode, {}))

    def pending(self, mode: Mode, key: str) -> Mapping[str, Any]:
        """The changes that were not acknowledged: the owner may have them, and services may not."""
        return self._pending.get((mode, key), {})

    async def make(
        self, key: str, changes: Mapping[str, Any], running: Callable[[], Mapping[Mode, str]]
    ) -> list[Acknowledgement]:
        """Change a configuration in all modes that run, at the same time.

        `running` gives the base URL of agent management in each of them. What a mode has not
        acknowledged before is repeated there.
        """
        async with self._lock:
            acknowledged = await asyncio.gather(
                *(
                    self._patch(mode, url, key, sent)
                    for mode, url in running().items()
                    if (sent := _merged(self.pending(mode, key), changes))
                )
            )
            if changes and any(each.version for each in acknowledged):
                self._made.append((key, changes))
        return acknowledged

    async def replay(self, mode: Mode, management: str) -> None:
        """Make all changes so far in a mode that has just started."""
        async with self._lock:
            for key, changes in self._made:
                await self._patch(mode, management, key, changes)

    async def _patch(
        self, mode: Mode, management: str, key: str, changes: Mapping[str, Any]
    ) -> Acknowledgement:
        self._pending[mode, key] = changes
        began = time.monotonic()
        try:
            async with httpx.AsyncClient(base_url=management, timeout=TIMEOUT) as client:
                answer = await client.patch(f"/configurations/{key}", json=changes)
        except httpx.HTTPError:
            seconds = time.monotonic() - began
            return Acknowledgement(mode, seconds, None, "agent management does not answer")
        seconds = time.monotonic() - began
        if not answer.is_server_error:  # acknowledged, or refused: nothing was changed
            del self._pending[mode, key]
        if answer.is_error:
            text = _TEXTS.get(answer.status_code, answer.text)
            return Acknowledgement(mode, seconds, None, text)
        version: int = answer.json()["version"]
        self._due.setdefault(mode, {})[key] = version
        return Acknowledgement(mode, seconds, version)


def _merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> Mapping[str, Any]:
    """Two changes as one, the second over the first."""
    sections = dict.fromkeys((*one, *other))
    return {name: {**one.get(name, {}), **other.get(name, {})} for name in sections}


async def entry_of(management: str, key: str) -> Mapping[str, Any]:
    """A configuration as agent management has it. Raises httpx.HTTPError."""
    async with httpx.AsyncClient(base_url=management, timeout=TIMEOUT) as client:
        answer = await client.get(f"/forms/{key}")
    entry: Mapping[str, Any] = answer.raise_for_status().json()
    return entry

"""Steps: what each service does in a turn, sent to an observer while the turn runs.

A step is one datagram to an address of this machine. So an observer has it at once, also if the
turn fails later, and a service neither waits nor fails if nobody observes.
"""

import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from typing import Any, Self, cast

from nooble.configuration import SECTIONS, is_secret, versions_of
from nooble.settings import Settings

HIDDEN = "hidden"
"""The text in place of a secret value."""


@dataclass(frozen=True)
class Step:
    """One service's step in a turn. Times are seconds since 1970, of this machine's clock."""

    turn: str
    """The turn's id."""
    conversation: str
    """The turn's conversation; "" if the service does not know it."""
    service: str
    pid: int
    arrived: float
    """The time at which the request for the step arrived."""
    settled: float
    """The time at which the service had its settings."""
    ended: float
    source: str
    """The source of the settings: a key of `look.SOURCES` or of `look.CALLS`."""
    read: float | None
    """The time at which the settings were read from their owner; None if that is not known."""
    versions: Mapping[str, int]
    """The version of each configuration that the service used, by key."""
    settings: Mapping[str, Any]
    """The settings that the step used, by path. Secret values are hidden."""
    store_calls: int
    """The number of calls from the service's process to the store so far."""

    def to_datagram(self) -> bytes:
        """Convert to the bytes of a datagram."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_datagram(cls, data: bytes) -> Self:
        """Convert from the bytes of a datagram. Raises ValueError."""
        try:
            return cls(**json.loads(data))
        except TypeError as error:
            raise ValueError("not a step") from error


@dataclass
class _Arrival:
    """The step that runs in this task."""

    turn: str
    conversation: str
    at: float
    settled: float = 0.0
    source: str = ""
    read: float | None = None


_arrival: ContextVar[_Arrival | None] = ContextVar("arrival", default=None)


def arrive(turn: str, conversation: str = "") -> None:
    """Note that the request for a step of a turn has arrived in this task."""
    _arrival.set(_Arrival(turn, conversation, time.time()))


def settle(source: str, read: float | None = None) -> None:
    """Note that the current step has its settings, and where they came from."""
    arrival = _arrival.get()
    if arrival:
        arrival.settled, arrival.source, arrival.read = time.time(), source, read


class Observer:
    """The sender of a process's steps."""

    def __init__(self, address: str, service: str) -> None:
        host, _, port = address.rpartition(":")
        self._target = host, int(port)
        self._service = service
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def tell(self, settings: Settings, used: tuple[str, ...], store_calls: int) -> None:
        """Send the current step, which ends now. `used` are sections, or paths of values."""
        arrival = _arrival.get()
        if arrival is None:
            return
        now = time.time()
        step = Step(
            turn=arrival.turn,
            conversation=arrival.conversation,
            service=self._service,
            pid=os.getpid(),
            arrived=arrival.at,
            settled=arrival.settled or now,
            ended=now,
            source=arrival.source,
            read=arrival.read,
            versions=versions_of(settings.metadata),
            settings=dict(used_settings(settings, used)),
            store_calls=store_calls,
        )
        with suppress(OSError):  # nobody observes, or the buffer is full
            self._socket.sendto(step.to_datagram(), self._target)


def used_settings(settings: Settings, used: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """The values of settings that a step used, by path. Secret values are hidden."""
    for path in used:
        section, _, name = path.partition(".")
        if section not in SECTIONS:
            raise ValueError(f"there is no section {section}")
        values: Mapping[str, Any] = getattr(settings, section)
        yield from _flat(section, {name: values[name]} if name else values)


def _flat(path: str, values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if is_secret(name):
            yield f"{path}.{name}", HIDDEN
        elif isinstance(value, Mapping):
            yield from _flat(f"{path}.{name}", cast("Mapping[str, Any]", value))
        else:
            yield f"{path}.{name}", value

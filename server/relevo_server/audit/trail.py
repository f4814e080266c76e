"""The trail of a server: takes what happens, and passes records on to where they are kept."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, Protocol, TypeAlias

from grpc import StatusCode

from relevo_server.audit.floods import Floods
from relevo_server.audit.records import FAILURES, Event, Record, Subject
from relevo_server.errors import StoreError
from relevo_server.logs import tell

Mode: TypeAlias = Literal["off", "denials", "all"]
INTERVAL = 10.0
"""Seconds after which failures that have no record of their own are summed up."""
_LAST = 3.0
"""Seconds that the last records may take."""
_EVENTS = {
    StatusCode.PERMISSION_DENIED: Event.DENIAL,
    StatusCode.UNAUTHENTICATED: Event.AUTHENTICATION,
}
_logger = logging.getLogger("relevo_server.audit")


class Sink(Protocol):
    """Keeps records, in the background."""

    name: str
    dropped: int

    def start(self) -> None:
        """Begin to write. Raises OSError."""

    def add(self, record: Record) -> None:
        """Add a record. Returns at once."""

    def close(self, within: float) -> None:
        """Write what is left, for `within` seconds at most."""


class Trail:
    """Records what happens in a server, in its log and in `sinks`. Used on the event loop."""

    def __init__(
        self,
        mode: Mode,
        sinks: Sequence[Sink] = (),
        *,
        interval: float = INTERVAL,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._has_writes = mode == "all"
        self._is_on = mode != "off"
        self._sinks = sinks
        self._interval = interval
        self._clock = clock
        self._floods = Floods()
        self._timer: asyncio.TimerHandle | None = None
        self._counts = {_short(each): 0 for each in Event}

    @property
    def counts(self) -> dict[str, int]:
        """The records so far, by what they are about."""
        return dict(self._counts)

    @property
    def dropped(self) -> dict[str, int]:
        """The records that were lost so far, by the sink that lost them."""
        lost = {each.name: each.dropped for each in self._sinks}
        return {name: lost.get(name, 0) for name in ("file", "otlp")}

    def start(self) -> None:
        """Begin to write. Raises OSError if a file cannot be opened."""
        for sink in self._sinks:
            sink.start()

    async def close(self) -> None:
        """Record what was not summed up yet, and write what is left, within some seconds."""
        self._sum_up()
        await asyncio.gather(*(asyncio.to_thread(each.close, _LAST) for each in self._sinks))

    def keeps(self, event: Event) -> bool:
        """Whether such events are recorded."""
        return self._is_on and (self._has_writes or event is not Event.WRITE)

    def record(
        self,
        event: Event,
        method: str,
        principal: str,
        peer: str,
        subjects: Iterable[Subject],
        *,
        status: StatusCode = StatusCode.OK,
        reason: str = "",
        revision: int = 0,
        is_repeated: bool = False,
    ) -> None:
        """Record a call that has ended, once for each of its subjects.

        `method` is the RPC's name, or that of the function that answers it. `reason` is the
        contract's, "" without an error. `revision` is that of a write, else 0. A failure that is
        repeated is only counted.
        """
        name = _rpc(method)
        for subject in subjects:
            self._add(
                Record(
                    *(event, self._clock(), name, principal, peer, subject),
                    *(status.name, reason, revision),
                ),
                is_repeated=is_repeated,
            )

    def failed(
        self,
        method: str,
        principal: str,
        peer: Callable[[], str],
        error: Exception,
        *,
        is_repeated: bool = False,
    ) -> None:
        """Record a call that was refused, if its caller may not make it or is not known.

        `peer` returns the address that the call came from. What is repeated has no record of its
        own: it is counted in the next summary.
        """
        if not (self._is_on and isinstance(error, StoreError) and error.code in _EVENTS):
            return
        named = error.metadata
        subject = Subject(named.get("tenant_id", ""), named.get("scope", ""), named.get("key", ""))
        self.record(
            *(_EVENTS[error.code], method, principal, peer(), [subject]),
            status=error.code,
            reason=error.reason.value,
            is_repeated=is_repeated,
        )

    def reloaded(self, changed: Sequence[str], error: str = "") -> None:
        """Record that settings were read again.

        `changed` are the names of the settings that changed. `error` is why the new ones cannot be
        used, "" if they are; it must not quote values.
        """
        status = "FAILED_PRECONDITION" if error else "OK"
        self._add(
            Record(Event.RELOAD, self._clock(), status=status, reason=error, changed=tuple(changed))
        )

    def _add(self, record: Record, *, is_repeated: bool = False) -> None:
        if not self.keeps(record.event):
            return
        if record.event in FAILURES:
            if self._timer is None:
                loop = asyncio.get_running_loop()
                self._timer = loop.call_later(self._interval, self._sum_up)
            if not self._floods.admits(record, is_repeated=is_repeated):
                return
        self._write(record)

    def _sum_up(self) -> None:
        """End an interval."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        for summary in self._floods.end(self._clock()):
            self._write(summary)

    def _write(self, record: Record) -> None:
        self._counts[_short(record.event)] += 1
        tell(_logger, record.fields)
        for sink in self._sinks:
            sink.add(record)


def _rpc(name: str) -> str:
    """The name of an RPC whose answer may come from a function in snake case."""
    return name if name[0].isupper() else "".join(map(str.capitalize, name.split("_")))


def _short(event: Event) -> str:
    return event.removeprefix("audit.")


SILENT = Trail("off")
"""Records nothing."""

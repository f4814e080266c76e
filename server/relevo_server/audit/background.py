"""Writes records in a thread of its own, so that no call waits for a disk or a collector."""

import queue
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import monotonic

from relevo_server.audit.records import Record
from relevo_server.logs import LogThrottle, cause_of, log

_TOGETHER = 512
"""The most records that are written at once."""


class Background:
    """A bounded queue before `write`, which may block, and raises OSError if records are lost.

    `name` is that of the sink, for logs and metrics.
    """

    def __init__(
        self, name: str, write: Callable[[Sequence[Record]], None], size: int = 10_000
    ) -> None:
        self.name = name
        self.dropped = 0
        """Records that were lost: there was no room, or `write` failed."""
        self._write = write
        self._queue: queue.Queue[Record | None] = queue.Queue(size)
        self._losses = LogThrottle()
        self._thread = threading.Thread(target=self._run, name=f"audit {name}", daemon=True)

    @property
    def is_running(self) -> bool:
        """Whether the thread still writes."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def add(self, record: Record) -> None:
        """Add a record, or drop it if there is no room. Returns at once."""
        try:
            self._queue.put_nowait(record)
        except queue.Full:
            self._lose(1, "there is no room in the queue")

    def close(self, within: float) -> None:
        """Write what is left, for `within` seconds at most."""
        if not self.is_running:
            return
        end = monotonic() + within
        with suppress(queue.Full):
            self._queue.put(None, timeout=within)
        self._thread.join(max(0.0, end - monotonic()))

    def _run(self) -> None:
        while (record := self._queue.get()) is not None:
            batch = [record]
            is_last = False
            with suppress(queue.Empty):
                while len(batch) < _TOGETHER:
                    record = self._queue.get_nowait()
                    if record is None:
                        is_last = True
                        break
                    batch.append(record)
            try:
                self._write(batch)
            except OSError as error:
                self._lose(len(batch), cause_of(error))
            if is_last:
                return

    def _lose(self, count: int, cause: str) -> None:
        self.dropped += count
        if self._losses.is_due(monotonic(), count):
            log.error("audit.lost", sink=self.name, cause=cause, count=self._losses.count)

"""A file of records, one JSON object a line."""

import os
from collections.abc import Sequence
from pathlib import Path

from relevo_server.audit.records import Record
from relevo_server.logs import to_json


class AuditFile:
    """Appends to a file that only its owner may read.

    If the file was moved or removed, as by logrotate, another one is begun under its name: nobody
    has to send a signal.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def open(self) -> None:
        """Open the file, or create it. Raises OSError, which names the setting."""
        try:
            self._descriptor = self._opened()
        except OSError as error:
            raise OSError(f"audit_file: {self._path}: {error.strerror}") from None

    def write(self, records: Sequence[Record]) -> None:
        """Append records. Raises OSError."""
        lines = [to_json(record.fields) for record in records]
        left = memoryview(("\n".join(lines) + "\n").encode())
        descriptor = self._current()
        while left:
            left = left[os.write(descriptor, left) :]

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _current(self) -> int:
        """The descriptor of the file that has the name now."""
        if self._descriptor is not None and not self._is_moved(self._descriptor):
            return self._descriptor
        descriptor = self._opened()
        self.close()
        self._descriptor = descriptor
        return descriptor

    def _is_moved(self, descriptor: int) -> bool:
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return True
        ours = os.fstat(descriptor)
        return (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino)

    def _opened(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

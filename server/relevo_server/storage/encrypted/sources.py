"""Sources of a key ring: a file, or a command that prints it."""

import asyncio
import shlex
from abc import ABC, abstractmethod
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Hashable
from contextlib import suppress
from pathlib import Path

from relevo_server.marks import mark_of
from relevo_server.storage.encrypted.ring import KeyRing, KeyRingError

_SECONDS = 10.0
"""Seconds that a command may take."""


class Source(ABC):
    """Loads a key ring."""

    @abstractmethod
    async def load(self) -> KeyRing:
        """The key ring as it is now. Raises KeyRingError."""

    @abstractmethod
    def state(self, now: float) -> Hashable:
        """A value that changes if the ring should be loaded again. `now` is in seconds."""


class FileSource(Source):
    """A file, which is loaded again when it changes."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def load(self) -> KeyRing:
        """Read the file."""
        try:
            text = self._path.read_text("utf-8")
        except OSError as error:
            raise KeyRingError(f"key ring: {self._path}: {error.strerror}") from None
        except UnicodeError:
            raise KeyRingError(f"key ring: {self._path}: is not UTF-8") from None
        return KeyRing.parse(text)

    def state(self, now: float) -> Hashable:
        """The file's mark; None if it cannot be looked at."""
        del now
        try:
            return mark_of(self._path)
        except OSError:
            return None


class CommandSource(Source):
    """A command, without a shell, which is run again every `interval` seconds."""

    def __init__(self, command: str, interval: float) -> None:
        self._words = shlex.split(command)
        self._interval = interval

    async def load(self) -> KeyRing:
        """Run the command. Its output is in no error."""
        try:
            process = await asyncio.create_subprocess_exec(
                *self._words, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL
            )
        except OSError as error:
            raise KeyRingError(f"key ring: the command cannot be run: {error.strerror}") from None
        try:
            async with asyncio.timeout(_SECONDS):
                output, _ = await process.communicate()
        except TimeoutError:
            raise KeyRingError(f"key ring: the command took over {_SECONDS:g} s") from None
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if process.returncode:
            raise KeyRingError(f"key ring: the command ended with {process.returncode}")
        return KeyRing.parse(output.decode(errors="replace"))

    def state(self, now: float) -> Hashable:
        """The number of the interval."""
        return now // self._interval


def source_of(file: Path | None, command: str | None, interval: float) -> Source:
    """The source of a key ring: the file if there is one, else the command.

    Raises KeyRingError if the command cannot be split into words.
    """
    if file:
        return FileSource(file)
    try:
        return CommandSource(command or "", interval)
    except ValueError:
        raise KeyRingError("key ring: the command has an unfinished quotation") from None

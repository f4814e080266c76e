"""The process itself: its release, and its figures from the operating system.

Linux has all of the figures.
"""

import os
import threading
import time
from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from relevo_server.telemetry.instruments import Read

_PROC = Path("/proc/self")
_STARTED = time.monotonic()
"""The time of this module's import; the process is hardly older."""


@lru_cache
def release() -> str:
    """The version of Relevo, or "unknown" if it runs from sources that are not installed."""
    try:
        return version("relevo")
    except PackageNotFoundError:
        return "unknown"


def uptime() -> float:
    """Seconds since the process started."""
    return time.monotonic() - _STARTED


def cpu_seconds() -> Mapping[str, float]:
    """CPU time by mode."""
    times = os.times()
    return {"user": times.user, "system": times.system}


def resident_bytes() -> int | None:
    """Resident memory, or None if the system does not say."""
    try:
        pages = (_PROC / "statm").read_text("ascii").split()[1]
    except OSError:
        return None
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def open_files() -> int | None:
    """Open file descriptors, or None if the system does not say."""
    try:
        return sum(1 for _ in (_PROC / "fd").iterdir()) - 1  # without the one that reads them
    except OSError:
        return None


def threads() -> int:
    """Threads, those of libraries too if the system counts them."""
    try:
        return sum(1 for _ in (_PROC / "task").iterdir())
    except OSError:
        return threading.active_count()


READ: Mapping[str, Read] = {
    "process.cpu.time": cpu_seconds,
    "process.memory.usage": resident_bytes,
    "process.unix.file_descriptor.count": open_files,
    "process.thread.count": threads,
    "process.uptime": uptime,
}
"""The instruments of the process, and what reads each."""

"""The resources of a process: CPU, memory, files."""

import sys
import time

import psutil

if sys.platform != "win32":
    import resource

_SPARE = 500
"""Files that a server has open beside its streams' connections: Redis, logs, the interpreter's."""


def cpu_seconds(pid: int) -> float:
    """The CPU seconds that a process has used in user mode and in the kernel, all threads together.

    On Linux to the nanosecond, by the process's own clock: the ticks of /proc/PID/stat, 10 ms each,
    are too coarse for a hundred idle streams.
    """
    if not pid:
        raise ValueError("0 would be this process")
    if sys.platform == "linux":
        return time.clock_gettime(~pid << 3 | 2)  # as clock_getcpuclockid(3) makes the number
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def resident_bytes(pid: int) -> int:
    """The bytes of memory that a process has (RSS)."""
    size: int = psutil.Process(pid).memory_info().rss
    return size


def open_files(pid: int) -> int:
    """The number of file descriptors that a process has open."""
    return psutil.Process(pid).num_fds()


def streams_that_fit(wanted: int) -> int:
    """Raise the limit of open files for this process and those that it starts, if it is too low.

    Returns how many of the wanted streams may have a connection of their own.
    """
    if sys.platform == "win32":
        return wanted
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + _SPARE
    if hard != resource.RLIM_INFINITY:
        needed = min(needed, hard)
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    return min(wanted, needed - _SPARE)

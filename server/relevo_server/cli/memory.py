"""The memory of a server's process: when garbage is collected, and what malloc keeps."""

import ctypes
import gc
import os

_COLLECTED = (5_000, 10, 20)
"""New objects until they are collected, and collections until the next older ones are, too. A Watch
stream is some hundred objects that live for days. By Python's defaults, ten thousand new streams
cause some twenty full collections. Each looks at all streams, and delays every call meanwhile."""
_KEPT = {
    "MALLOC_MMAP_THRESHOLD_": (-3, 8 << 20),
    "MALLOC_TRIM_THRESHOLD_": (-1, 16 << 20),
}
"""The parameters of glibc's malloc: the variable that sets each, its number in mallopt(3), and its
value here in bytes. An answer of 4 MiB is in memory up to four times while it is made and sent."""


def settle() -> None:
    """Prepare the process for its calls, once all that is permanent has been made."""
    _freeze()
    _keep_freed_memory()


def _freeze() -> None:
    """Exclude the objects that exist now from garbage collection: they are permanent.

    Scanning all of them takes tens of milliseconds each time, which delays every call. Those that
    come are scanned less often than by default, for the same reason.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECTED)


def _keep_freed_memory() -> None:
    """Let glibc's malloc keep the memory of a large answer for the next one.

    By default it gives this memory back to the kernel, and each large answer then faults in
    thousands of pages, amid a turn of the event loop. Variables of the environment that say
    otherwise have priority; other C libraries are left as they are.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return
    for variable, (parameter, value) in _KEPT.items():
        if variable not in os.environ:
            mallopt(parameter, value)

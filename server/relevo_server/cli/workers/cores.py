"""The cores that this process may use: those of the host, within its affinity and cgroups."""

import os
from collections.abc import Iterator
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")


def usable_cores(own: Path = _OWN, root: Path = _CGROUPS) -> int:
    """The cores that this process may use, at least 1. A quota of 2.5 cores counts as 2.

    `own` says in which cgroups the process is, and `root` is where cgroups are mounted.
    """
    limits = [float(_affine_cores()), *_quotas(own, root)]
    return max(1, int(min(limits)))


def _affine_cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        return os.cpu_count() or 1


def _quotas(own: Path, root: Path) -> Iterator[float]:
    """The quotas of CPU time of this process's cgroup and of those around it, in cores.

    In a container the own cgroup is usually shown as the root.
    """
    for line in _lines(own):
        _, controllers, path = line.split(":", 2)
        inner = Path(path.lstrip("/"))
        around = [inner, *inner.parents] if inner.parts else [inner]
        if not controllers:  # version 2
            for each in around:
                yield from _quota(_lines(root / each / "cpu.max"))
        elif "cpu" in controllers.split(","):
            for each in around:
                folder = root / "cpu" / each
                quota, period = "cpu.cfs_quota_us", "cpu.cfs_period_us"
                yield from _quota([" ".join((*_lines(folder / quota), *_lines(folder / period)))])


def _quota(lines: list[str]) -> Iterator[float]:
    """The quota that a line like `200000 100000` says; nothing for `max`, or for -1."""
    for line in lines:
        words = line.split()
        if len(words) == 2 and words[0].isdecimal() and int(words[1]):
            yield int(words[0]) / int(words[1])


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text("ascii").splitlines()
    except OSError:
        return []

"""Marks of files: they differ if a file may have changed, and nothing is read to compare them."""

from pathlib import Path
from typing import NamedTuple


class Mark(NamedTuple):
    """The identity of a file, the time of its last change in nanoseconds, and its size."""

    device: int
    inode: int
    modified: int
    size: int


def mark_of(file: Path) -> Mark:
    """The mark of a file, or of the one that a symbolic link leads to. Raises OSError."""
    status = file.stat()
    return Mark(status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size)

"""The place of a process among those of its server: `relevo serve --workers` has several."""

from typing import NamedTuple


class Worker(NamedTuple):
    """One of the processes that are a server together."""

    number: int
    """From 1 on; 0 for a process that is a server alone. The process that replaces one that has
    ended has its number."""
    of: int
    """The number of workers."""


ALONE = Worker(0, 1)
"""A process that is a server alone."""

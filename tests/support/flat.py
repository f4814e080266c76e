"""Checks whether repeated measurements of a resource stay flat or grow.

The first fifth of a run is ignored: caches fill, and allocators reserve memory. The last
fifth must be like the second one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

_PART = 5


@dataclass
class Gauge:
    """One resource that is measured repeatedly."""

    name: str
    samples: list[float] = field(default_factory=list[float])

    @property
    def before(self) -> float:
        """The typical value in the second fifth."""
        size = self._size
        return self.typical(self.samples[size : 2 * size])

    @property
    def after(self) -> float:
        """The typical value in the last fifth."""
        return self.typical(self.samples[-self._size :])

    @property
    def is_flat(self) -> bool:
        """Whether the value has not grown."""
        return self.after <= self.limit(self.before)

    def typical(self, samples: Sequence[float]) -> float:
        """The typical value of a part: the lowest count, because work in flight adds to it."""
        return min(samples)

    def limit(self, before: float) -> float:
        """The limit for the last fifth: one more, as the lowest count is seen by chance."""
        return before + 1

    @property
    def _size(self) -> int:
        if len(self.samples) < 2 * _PART:
            raise ValueError(f"{self.name}: {len(self.samples)} samples say nothing")
        return len(self.samples) // _PART


@dataclass
class Memory(Gauge):
    """A gauge of bytes, which allocators free late: the median, with a margin."""

    share: float = 0.05
    room: float = 4 << 20

    def typical(self, samples: Sequence[float]) -> float:
        """The median."""
        return median(samples)

    def limit(self, before: float) -> float:
        """A fraction more than before, or a minimal margin if that is more."""
        return before + max(self.share * before, self.room)

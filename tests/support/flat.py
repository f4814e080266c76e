"""Whether what was measured again and again stays where it is, or grows.

The first fifth of a run is left out: caches fill, and allocators take what they will
keep. What the second fifth was like, the last one has to be like.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

_PART = 5


@dataclass
class Gauge:
    """One thing that is measured again and again."""

    name: str
    samples: list[float] = field(default_factory=list[float])

    @property
    def before(self) -> float:
        """What it was like in the second fifth."""
        size = self._size
        return self.typical(self.samples[size : 2 * size])

    @property
    def after(self) -> float:
        """What it was like in the last fifth."""
        return self.typical(self.samples[-self._size :])

    @property
    def is_flat(self) -> bool:
        """Whether it has not grown."""
        return self.after <= self.limit(self.before)

    def typical(self, samples: Sequence[float]) -> float:
        """What a part of the run was like. Of a count, the lowest: work under way adds to it."""
        return min(samples)

    def limit(self, before: float) -> float:
        """How much may be there in the end. Of a count, one more: the lowest is seen by chance."""
        return before + 1

    @property
    def _size(self) -> int:
        if len(self.samples) < 2 * _PART:
            raise ValueError(f"{self.name}: {len(self.samples)} samples say nothing")
        return len(self.samples) // _PART


@dataclass
class Memory(Gauge):
    """Bytes, which an allocator gives back late: the median, with some room."""

    share: float = 0.05
    room: float = 4 << 20

    def typical(self, samples: Sequence[float]) -> float:
        """The median."""
        return median(samples)

    def limit(self, before: float) -> float:
        """A share more than before, or some room where that is little."""
        return before + max(self.share * before, self.room)

"""What `make soak` decides by: it sees what grows, and nothing else."""

import pytest
from support.flat import Gauge, Memory

MB = 1 << 20


@pytest.mark.parametrize(
    "samples,is_flat",
    [
        ([5] * 50, True),
        ([5, 9, 7, 5, 6] * 10, True),  # work under way comes and goes
        ([1] * 10 + [5] * 40, True),  # it was warming up
        ([5] * 20 + [4] * 30, True),
        ([5] * 49 + [6], True),  # one was under way at the end
        ([5] * 30 + [6] * 20, True),  # the lowest is seen by chance
        ([5] * 30 + [7] * 20, False),
        ([5 + i // 10 for i in range(50)], False),
    ],
)
def test_counts(samples: list[float], is_flat: bool) -> None:
    """File descriptors, tasks and streams that stay behind, one each time, are seen."""
    assert Gauge("fds", samples).is_flat is is_flat


@pytest.mark.parametrize(
    "samples,is_flat",
    [
        ([100 * MB] * 50, True),
        ([50 * MB] * 10 + [100 * MB] * 40, True),
        ([100 * MB] * 20 + [104 * MB] * 30, True),
        ([10 * MB] * 20 + [13 * MB] * 30, True),
        ([100 * MB] * 20 + [106 * MB] * 30, False),
        ([10 * MB] * 20 + [15 * MB] * 30, False),
        ([(100 + i) * MB for i in range(50)], False),
    ],
)
def test_memory(samples: list[float], is_flat: bool) -> None:
    """Memory may grow by a twentieth or some megabytes, as allocators want."""
    assert Memory("rss", samples).is_flat is is_flat


def test_too_little() -> None:
    """A run that was too short to have fifths says so."""
    with pytest.raises(ValueError, match="9 samples say nothing"):
        _ = Gauge("fds", [1] * 9).is_flat

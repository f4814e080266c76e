"""The criterion of `make soak`: it detects growth, and nothing else."""

import pytest
from support.flat import Gauge, Memory

MB = 1 << 20


@pytest.mark.parametrize(
    "samples,is_flat",
    [
        ([5] * 50, True),
        ([5, 9, 7, 5, 6] * 10, True),  # temporary work
        ([1] * 10 + [5] * 40, True),  # warming up
        ([5] * 20 + [4] * 30, True),
        ([5] * 49 + [6], True),  # one in flight at the end
        ([5] * 30 + [6] * 20, True),  # the lowest by chance
        ([5] * 30 + [7] * 20, False),
        ([5 + i // 10 for i in range(50)], False),
    ],
)
def test_counts(samples: list[float], is_flat: bool) -> None:
    """A file descriptor, task or stream that remains each time is detected."""
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
    """Memory may grow by a twentieth or some megabytes, as allocators need."""
    assert Memory("rss", samples).is_flat is is_flat


def test_too_little() -> None:
    """A run that is too short for five parts is reported as such."""
    with pytest.raises(ValueError, match="9 samples say nothing"):
        _ = Gauge("fds", [1] * 9).is_flat

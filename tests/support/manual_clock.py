"""A clock for what takes its clock as a function."""


class ManualClock:
    """A clock that stands still until a test sets `now`, in seconds."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """The time in seconds."""
        return self.now

"""Handles extras that a command needs and that are not installed."""

from collections.abc import Generator
from contextlib import contextmanager

_OWN = (
    "relevo",
    "relevo_cli",
    "relevo_client",
    "relevo_console",
    "relevo_look",
    "relevo_probe",
    "relevo_server",
    "relevo_web",
)


class MissingExtraError(Exception):
    """Raised if a command needs an extra that is not installed. Its text says how to install it."""

    def __init__(self, extra: str, missing: str) -> None:
        super().__init__(f"needs {missing}; install it with: pip install 'relevo[{extra}]'")


@contextmanager
def needing(extra: str) -> Generator[None, None, None]:
    """Wrap imports that need an extra. Raises MissingExtraError if a package is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in _OWN:
            raise  # a defect of our own, which no installation fixes
        raise MissingExtraError(extra, missing) from error

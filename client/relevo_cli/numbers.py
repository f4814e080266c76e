"""Numbers on the command line, as argparse's types: argparse names the option in each error."""

import argparse
from collections.abc import Callable

_MOST_SECONDS = 1e9
"""Some 30 years. A deadline that is much further away has passed, to gRPC."""
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def whole(least: int, most: int | None = None) -> Callable[[str], int]:
    """The type of whole numbers in a range."""
    expected = f"a whole number from {least}" + ("" if most is None else f" to {most}")

    def number(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise _error(expected) from None
        if value < least or (most is not None and value > most):
            raise _error(expected)
        return value

    return number


def positive(text: str) -> float:
    """The type of finite numbers above 0."""
    return _above_zero(text, "a number above 0", float("inf"))


def from_zero(text: str) -> float:
    """The type of finite numbers that are not negative."""
    return 0.0 if _is_zero(text) else _above_zero(text, "a number from 0", float("inf"))


def from_one(text: str) -> float:
    """The type of finite numbers from 1."""
    number = _above_zero(text, "a number from 1", float("inf"))
    if number < 1:
        raise _error("a number from 1")
    return number


def share(text: str) -> float:
    """The type of numbers above 0 and below 1."""
    number = _above_zero(text, "a number above 0 and below 1", 1.0)
    if number == 1:
        raise _error("a number above 0 and below 1")
    return number


def seconds(text: str) -> float:
    """The type of seconds above 0, and of 30 years at most."""
    return _above_zero(text, "a number of seconds above 0, 1e9 at most", _MOST_SECONDS)


def duration(text: str) -> float:
    """The type of times such as `60s`, `10m` and `1h`, in seconds."""
    unit = _UNITS.get(text[-1:])
    number = text[:-1] if unit else text
    factor = unit or 1.0
    return factor * _above_zero(number, "a time, such as 60s", _MOST_SECONDS / factor)


def _is_zero(text: str) -> bool:
    try:
        return float(text) == 0
    except ValueError:
        return False


def _above_zero(text: str, expected: str, most: float) -> float:
    try:
        number = float(text)
    except ValueError:
        raise _error(expected) from None
    if not (0 < number <= most and number < float("inf")):  # NaN is neither
        raise _error(expected)
    return number


def _error(expected: str) -> argparse.ArgumentTypeError:
    return argparse.ArgumentTypeError(f"must be {expected}")

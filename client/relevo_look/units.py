"""Sizes, durations and times as people read them."""

from datetime import UTC, datetime

from google.protobuf.duration_pb2 import Duration

_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def size(count: float) -> str:
    """A number of bytes: `812 B`, `1.5 KiB`, `23 MiB`."""
    unit = 0
    while abs(count) >= 1023.5 and unit < len(_BINARY) - 1:
        count /= 1024
        unit += 1
    return f"{_short(count) if unit else f'{count:.0f}'} {_BINARY[unit]}"


def duration(seconds: float) -> str:
    """A duration: `350 µs`, `12 ms`, `1.5 s`, `4m 10s`, `3h 05m`, `2d 04h`."""
    if seconds < 0:
        return f"-{duration(-seconds)}"
    for below, factor, unit in ((0.9995e-3, 1e6, "µs"), (0.9995, 1e3, "ms"), (59.95, 1, "s")):
        if seconds < below:
            return f"{_short(seconds * factor)} {unit}" if seconds else "0 s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02}s"
    minutes = whole // 60
    if minutes < 24 * 60:
        return f"{minutes // 60}h {minutes % 60:02}m"
    return f"{minutes // 1440}d {minutes // 60 % 24:02}h"


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


def time(moment: datetime, *, milliseconds: bool = False) -> str:
    """A time in ISO 8601, in the local time zone: `2026-11-29T06:31:08+01:00`."""
    return moment.astimezone().isoformat(timespec="milliseconds" if milliseconds else "seconds")


def percent(part: float, whole: float) -> str:
    """A share: `98.3 %`; `-` of nothing."""
    return f"{100 * part / whole:.1f} %" if whole else "-"


def of_message(message: Duration) -> str:
    """The same as `duration`, of a message."""
    return duration(message.ToMicroseconds() / 1e6)


def _short(number: float) -> str:
    """About two digits that matter: `1.5`, `12`, `350`."""
    return f"{number:.1f}".removesuffix(".0") if number < 9.95 else f"{number:.0f}"

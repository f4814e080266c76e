"""The values of an explained context, each with the entry that it came from."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from relevo.admin.v1 import admin_pb2

from relevo_cli import values
from relevo_cli.documents import Json, of_message


class ExplainedValue(NamedTuple):
    """One value of a composed context."""

    path: str
    value: Json
    entry: int | None
    """The index of its entry in `ExplainResponse.entries`; None if the answer names none."""


def explained_values(explained: admin_pb2.ExplainResponse) -> Iterator[ExplainedValue]:
    """Every value of an explained context: those that have an origin whole, and all others."""
    count = len(explained.entries)
    sources = {each.path: each.entry for each in explained.origins if each.entry < count}
    for path, value in _values(of_message(explained.context), sources):
        yield ExplainedValue(path, value, sources.get(path))


def _values(value: Json, sources: Mapping[str, int], path: str = "") -> Iterator[tuple[str, Json]]:
    if path in sources or not (isinstance(value, dict) and value):
        yield path, value
        return
    for name, item in sorted(value.items()):
        yield from _values(item, sources, values.joined(path, name))

"""The instruments that docs/observability.md documents, as data.

The page is the contract: each row of its tables of metrics is an instrument.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

PAGE = Path(__file__).parents[3] / "docs" / "observability.md"
_SECTION = re.compile(r"^## (Metrics of .+?)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_METER = re.compile(r"The meter is `(\w+)`")
_CODE = re.compile(r"`([^`]+)`")


@dataclass(frozen=True)
class Instrument:
    """A documented instrument."""

    meter: str
    name: str
    kind: str
    """As the page says: "counter", "observable gauge", "histogram" and so on."""
    unit: str
    attributes: Sequence[str]
    values: Mapping[str, Sequence[str]]
    """The values of attributes that the row itself lists."""


class _Row(NamedTuple):
    """A row of a table, cell by cell."""

    name: str
    kind: str
    unit: str
    attributes: str
    meaning: str


def instruments(page: str | None = None) -> dict[str, Instrument]:
    """All documented instruments by name."""
    text = PAGE.read_text("utf-8") if page is None else page
    return {each.name: each for each in _instruments(text)}


def documented_values() -> dict[str, set[str]]:
    """The values that the page lists for attributes, by attribute; only those that it lists all of.

    A row whose text goes on ("or the reason …") does not list all.
    """
    section = PAGE.read_text("utf-8").partition("## Values of the attributes\n")[2]
    rows = re.findall(r"^\| `([\w.]+)` \| (.+) \|$", section.partition("\n## ")[0], re.MULTILINE)
    only_values = re.compile(r"`\w+`(?:, `\w+`)*(?:; `\w+` (?:for|if) .*)?")
    return {name: set(_CODE.findall(cell)) for name, cell in rows if only_values.fullmatch(cell)}


def _instruments(page: str) -> Iterator[Instrument]:
    for title, section in _SECTION.findall(page):
        meter = _METER.search(section)
        assert meter, f"{title}: no meter"
        for row in _rows(section):
            values = _attributes(row.attributes)
            [name], [unit] = _CODE.findall(row.name), _CODE.findall(row.unit)
            yield Instrument(meter[1], name, row.kind, unit, list(values), values)


def _rows(section: str) -> Iterator[_Row]:
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `"):
            yield _Row(*cells)


def _attributes(cell: str) -> dict[str, list[str]]:
    """The attributes of a row: names have a dot, the values that follow have none."""
    found: dict[str, list[str]] = {}
    for word in _CODE.findall(cell):
        if "." in word:
            found[word] = []
        else:
            found[list(found)[-1]].append(word)
    return found

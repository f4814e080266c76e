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
_VALUES = re.compile(r"^## Values of the attributes\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_ALL_VALUES = re.compile(r"`\w+`(?:, `\w+`)*(?:; `\w+` (?:for|if) .*)?")
"""A cell that lists all values. One that goes on ("or the reason …") does not."""
_CODE = re.compile(r"`([^`]+)`")
_FORMS = {
    "relevo.outcome": r"[a-z_]+",
    "relevo.context.scope": r"[a-z_:]+",
    "error.type": r"\w+",
    "rpc.system.name": r"grpc",
    "rpc.method": r"relevo(?:\.\w+)+/\w+",
    "rpc.response.status_code": r"[A-Z_]+",
    "db.system.name": r"redis",
    "db.operation.name": r"[A-Z_ ]+",
    "db.stored_procedure.name": r"[a-z_]+",
    "cpu.mode": r"user|system",
}
"""The forms of the attributes of which the page does not list all values."""


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
    """All values of each attribute; none if the page does not list all."""

    @property
    def data(self) -> str:
        """The kind of the exported data, which does not tell if the instrument is observable."""
        return self.kind.removeprefix("observable ")

    def allows(self, attribute: str, value: str) -> bool:
        """Whether an attribute may have a value: one that is listed, or one of its form."""
        listed = self.values[attribute]
        return value in listed if listed else bool(re.fullmatch(_FORMS[attribute], value))


class _Row(NamedTuple):
    """A row of a table, cell by cell."""

    name: str
    kind: str
    unit: str
    attributes: str
    meaning: str


def instruments() -> dict[str, Instrument]:
    """All documented instruments by name."""
    return {each.name: each for each in _instruments(PAGE.read_text("utf-8"))}


def _instruments(page: str) -> Iterator[Instrument]:
    everywhere = dict(_values(page))
    for title, section in _SECTION.findall(page):
        meter = _METER.search(section)
        assert meter, f"{title}: no meter"
        for row in _rows(section):
            values = {
                attribute: listed or everywhere.get(attribute, [])
                for attribute, listed in _attributes(row.attributes).items()
            }
            [name], [unit] = _CODE.findall(row.name), _CODE.findall(row.unit)
            yield Instrument(meter[1], name, row.kind, unit, list(values), values)


def _values(page: str) -> Iterator[tuple[str, list[str]]]:
    """The values of attributes, whatever the instrument."""
    section = _VALUES.search(page)
    assert section, "no values of attributes"
    for name, cell in re.findall(r"^\| `([\w.]+)` \| (.+) \|$", section[1], re.MULTILINE):
        if _ALL_VALUES.fullmatch(cell):
            yield name, _CODE.findall(cell)


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

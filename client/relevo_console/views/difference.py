"""The difference of two contexts: what changed first, then what is the same."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from relevo.admin.v1 import admin_pb2
from relevo_cli import values
from relevo_cli.diff import Sign, differences
from relevo_cli.documents import Json, of_message

from relevo_console.views.composition import ORIGIN, TIMES, Composition, composition

WORDS: Mapping[Sign, str] = {"+": "added", "-": "removed", "~": "changed"}


@dataclass(frozen=True)
class Row:
    """One value that differs."""

    sign: Sign
    path: str
    old: str
    """As JSON; "" if there is none."""
    new: str

    @property
    def word(self) -> str:
        """The kind of the difference."""
        return WORDS[self.sign]


@dataclass(frozen=True)
class Compared:
    """Two contexts side by side."""

    left: Composition
    right: Composition
    rows: Sequence[Row]
    """The differences, by path."""
    same: Sequence[tuple[str, str]]
    """Paths and values that are the same in both."""
    has_secrets: bool
    """Whether a side has redacted values: whether these differ is unknown."""


def compared(
    left: tuple[admin_pb2.ExplainResponse, int], right: tuple[admin_pb2.ExplainResponse, int]
) -> Compared:
    """The difference of two explained contexts, each with the revision that was asked for."""
    views = composition(*left), composition(*right)
    # A snapshot is made in another way than its entry, although no service sees that.
    hidden = TIMES + (ORIGIN if any(view.is_snapshot for view in views) else ())
    old, new = (_content(each, hidden) for each, _ in (left, right))
    rows = [
        Row(each.sign, each.path, _text(each.sign, "+", each.old), _text(each.sign, "-", each.new))
        for each in differences(old, new)
    ]
    changed = {row.path for row in rows}
    same = [
        (path, values.text(value)) for path, value in values.members(new) if path not in changed
    ]
    has_secrets = any(value.is_secret for view in views for value in view.values)
    return Compared(*views, sorted(rows, key=lambda row: row.path), same, has_secrets)


def _content(explained: admin_pb2.ExplainResponse, hidden: Sequence[str]) -> Json:
    return {
        name: value for name, value in of_message(explained.context).items() if name not in hidden
    }


def _text(sign: Sign, absent: Sign, value: Json) -> str:
    return "" if sign == absent else values.text(value)

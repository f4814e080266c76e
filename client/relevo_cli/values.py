"""Contexts as flat lists of values, each under its path."""

import json
import re
from collections.abc import Iterator

from relevo_cli.documents import Json

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def flat(value: Json, path: str = "") -> Iterator[tuple[str, Json]]:
    """Every value of a JSON document with its path, names in alphabetical order.

    Paths are written as in `--mask`: `llm_config.model`, and names with other characters in
    backticks. Items of lists have numbers: `llm_config.stop[0]`. An empty object or list is a
    value; the document itself has the path "".
    """
    match value:
        case dict() if value:
            for name, item in sorted(value.items()):  # a Struct has no order
                yield from flat(item, joined(path, name))
        case list() if value:
            for i, item in enumerate(value):
                yield from flat(item, f"{path}[{i}]")
        case _:
            yield path, value


def joined(path: str, name: str) -> str:
    """The path of a member."""
    step = name if _PLAIN.fullmatch(name) else "`" + name.replace("`", "``") + "`"
    return f"{path}.{step}" if path else step


def text(value: Json) -> str:
    """A value as JSON on one line."""
    return json.dumps(value, ensure_ascii=False)


def members(document: Json) -> Iterator[tuple[str, Json]]:
    """Every value of an object with its path; an empty object has none."""
    return ((path, value) for path, value in flat(document) if path)


def rows(context: Json) -> list[list[str]]:
    """Every value of a context: its path, and the value as JSON."""
    return [[path, text(value)] for path, value in members(context)]

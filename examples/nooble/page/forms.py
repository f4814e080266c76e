"""The form that changes an agent's configuration: made from its entry, checked field by field."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from relevo_demo.vectors import MODELS

from nooble.configuration import is_secret

Kind = Literal["number", "text", "long", "boolean", "list", "choice", "secret"]
SECTIONS = ("llm_config", "agent_config", "rag_config", "embedding_config", "rate_limits")
"""The sections that have fields, in their order."""
CHOICES: Mapping[str, Sequence[str]] = {"embedding_config.model": tuple(MODELS)}
"""The values that a setting may have, if these are few."""
_LONG = 50
"""The characters from which on a text gets several lines."""
_LEAST = {"embedding_config.dimensions": 1, "rag_config.top_k": 1}


@dataclass(frozen=True)
class Field:
    """One setting in the form."""

    path: str
    kind: Kind
    text: str
    """The value of its control; "" for a secret, which nobody is shown."""
    choices: Sequence[str] = ()
    step: str = ""
    """Of a number: `1` for a whole one, `any` for another."""
    error: str = ""

    @property
    def section(self) -> str:
        """The section."""
        return self.path.partition(".")[0]

    @property
    def name(self) -> str:
        """The name in the section."""
        return self.path.partition(".")[2]

    @property
    def id(self) -> str:
        """The id of its control."""
        return self.path.replace(".", "-").replace("_", "-")


class FieldError(ValueError):
    """Raised if what was entered is no value of the setting. Its text says what is."""


def fields_of(
    entry: Mapping[str, Any],
    entered: Mapping[str, str] | None = None,
    errors: Mapping[str, str] | None = None,
) -> list[Field]:
    """The fields of an entry. `entered` replaces the values of fields, after an error."""
    found: list[Field] = []
    for path, value in _values(entry):
        kind = _kind(path, value)
        text = "" if kind == "secret" else _shown(kind, value)
        if entered is not None and kind != "secret":
            text = entered.get(path, "")
        step = "" if kind != "number" else "1" if isinstance(value, int) else "any"
        error = (errors or {}).get(path, "")
        found.append(Field(path, kind, text, CHOICES.get(path, ()), step, error))
    return found


def changes_of(
    entry: Mapping[str, Any], entered: Mapping[str, str], collections: Sequence[str]
) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """The changed values by section and name, and the errors by path.

    `collections` are those of the tenant, which an agent may search.
    """
    changes: dict[str, dict[str, Any]] = {}
    errors: dict[str, str] = {}
    for path, value in _values(entry):
        kind = _kind(path, value)
        text = entered.get(path, "")
        if kind == "secret" and not text:
            continue
        try:
            new = _parsed(path, kind, value, text, collections)
        except FieldError as error:
            errors[path] = str(error)
            continue
        if new != value:
            section, _, name = path.partition(".")
            changes.setdefault(section, {})[name] = new
    return changes, errors


def _values(entry: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for section in SECTIONS:
        for name, value in entry.get(section, {}).items():
            if not isinstance(value, Mapping):  # an agent has none; a collection's own form would
                yield f"{section}.{name}", value


def _kind(path: str, value: Any) -> Kind:
    if is_secret(path.rpartition(".")[2]):
        return "secret"
    if path in CHOICES:
        return "choice"
    match value:
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case list() | tuple():
            return "list"
        case str() if len(value) < _LONG:
            return "text"
        case _:
            return "long"


def _shown(kind: Kind, value: Any) -> str:
    if kind == "boolean":
        return "on" if value else ""
    if kind == "list":
        return "\n".join(item if isinstance(item, str) else json.dumps(item) for item in value)
    return str(value)


def _parsed(path: str, kind: Kind, old: Any, text: str, collections: Sequence[str]) -> Any:
    if kind == "boolean":
        return text == "on"
    if kind == "number":
        return _number(text, is_whole=isinstance(old, int), least=_LEAST.get(path, 0))
    if kind == "choice" and text not in CHOICES[path]:
        raise FieldError(f"One of: {', '.join(CHOICES[path])}.")
    if kind == "list":
        return _items(path, old, text, collections)
    text = text.replace("\r\n", "\n")
    if not text.strip() and kind != "secret":
        raise FieldError("A text is needed.")
    return text


def _number(text: str, *, is_whole: bool, least: float) -> float:
    try:
        number = int(text) if is_whole else float(text)
    except ValueError:
        raise FieldError("A whole number." if is_whole else "A number, such as 0.2.") from None
    if not least <= number <= 2**53:  # also refuses NaN
        raise FieldError(f"At least {least:g}.")
    return number


def _items(path: str, old: Sequence[Any], text: str, collections: Sequence[str]) -> list[Any]:
    items: list[Any] = [line.strip() for line in text.splitlines() if line.strip()]
    if not items:
        raise FieldError("One item a line; at least one.")
    if path == "rag_config.collections":
        unknown = [item for item in items if item not in collections]
        if unknown:
            raise FieldError(
                f"No such collection: {unknown[0]}. There are: {', '.join(collections)}."
            )
    if all(isinstance(item, int) for item in old):
        items = [int(_number(item, is_whole=True, least=1)) for item in items]
        if len(items) != len(old) or items != sorted(items):
            raise FieldError(f"{len(old)} whole numbers, the least one first.")
    return items

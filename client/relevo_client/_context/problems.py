"""The rules of a model that a value breaks, in words that never quote the value.

Most of pydantic's texts quote the model's rules only. The others are written anew here: those that
quote a part of the value, and those of a model's own validators, which may.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, cast, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails, PydanticKnownError
from pydantic_core.core_schema import ErrorType

from relevo_client._context.raised import class_and_place

MAX_DESCRIPTION = 300
"""Characters of a description. A rule of a model, such as an enum, may be long."""
_HIDDEN = "…"
_OF_THE_MODEL = frozenset(
    {
        *("class", "class_name", "discriminator", "encoding", "expected", "expected_plural"),
        *("expected_schemes", "expected_tags", "expected_version", "field_type", "method_name"),
        *("ge", "gt", "le", "lt", "multiple_of", "pattern", "tz_expected"),
        *("decimal_places", "max_digits", "max_length", "min_length", "whole_digits"),
        "actual_length",
    }
)
"""The parts of pydantic's texts that are of the model; and a length. Others quote the value."""
_OF_VALIDATORS = frozenset({"value_error", "assertion_error"})
_KNOWN = frozenset(get_args(ErrorType)) - _OF_VALIDATORS


class Problem(NamedTuple):
    """A broken rule of a model."""

    path: tuple[str | int, ...]
    """The path of the value: keys and indexes."""
    description: str


def problems_of(error: ValidationError) -> list[Problem]:
    """The broken rules, in the order of the model's fields."""
    details = error.errors(include_url=False, include_input=False)
    return [Problem(each["loc"], _shortened(_description(each))) for each in details]


def _description(details: ErrorDetails) -> str:
    kind = details["type"]
    context: Mapping[str, Any] = details.get("ctx", {})
    if kind in _OF_VALIDATORS:
        cause = context.get("error")
        place = f": {class_and_place(cause)}" if isinstance(cause, Exception) else ""
        return f"a validator of the model refuses it{place}"
    if kind not in _KNOWN:
        return f"the model refuses it ({kind})"
    if context.keys() <= _OF_THE_MODEL:
        return details["msg"]
    return _without_values(kind, context)


def _without_values(kind: str, context: Mapping[str, Any]) -> str:
    hidden = {name: v if name in _OF_THE_MODEL else _HIDDEN for name, v in context.items()}
    try:
        return PydanticKnownError(cast("Any", kind), hidden).message()
    except (TypeError, ValueError):  # a number's place takes no text
        return f"Input is not valid ({kind})"


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_DESCRIPTION else f"{text[: MAX_DESCRIPTION - 1]}{_HIDDEN}"

"""Paths of sections, such as `rag_config` or `metadata.pricing`, and the defaults of models."""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import TypeAlias

from relevo_client._context.errors import InvalidFieldError

SECTIONS = (
    "llm_config",
    "embedding_config",
    "rag_config",
    "agent_config",
    "metadata",
    "rate_limits",
)
"""The sections of a context."""
Path: TypeAlias = tuple[str, ...]

_ATTRIBUTE = "context_section"
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SEGMENT = re.compile(r"`((?:[^`]|``)*)`|([A-Za-z_][A-Za-z0-9_]*)")
_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


@lru_cache(maxsize=1024)
def parse(text: str) -> Path:
    """The keys of a path, as `metadata.pricing` or ``rag_config.`top-p` ``: a section's name first.

    Raises InvalidFieldError if the text is no such path.
    """
    keys: list[str] = []
    position = 0
    while match := _SEGMENT.match(text, position):
        keys.append(match[2] or match[1].replace("``", "`"))
        position = match.end()
        if position == len(text):
            break
        if text[position] != ".":
            raise _refusal("must be a path: names with dots between them, or in backticks")
        position += 1
    else:
        raise _refusal("must be a path: names with dots between them, or in backticks")
    if keys[0] not in SECTIONS:
        raise _refusal(f"must begin with one of {', '.join(SECTIONS)}")
    return tuple(keys)


def segment(key: str) -> str:
    """A key as a part of a path."""
    return key if _IDENTIFIER.fullmatch(key) else "`" + key.replace("`", "``") + "`"


def path_text(steps: Iterable[str | int], outer: str = "") -> str:
    """Keys and indexes as a path, below another one: `parse` reads it if it has no index."""
    parts = (f"[{each}]" if isinstance(each, int) else f".{segment(each)}" for each in steps)
    return f"{outer}{''.join(parts)}".removeprefix(".")


@lru_cache(maxsize=1024)
def default_section(model: type) -> str:
    """The section of a model that is not named: its `context_section`, else its name.

    Raises TypeError if neither is a section's.
    """
    named: object = getattr(model, _ATTRIBUTE, None)
    if isinstance(named, str):
        return named
    name = _WORD.sub("_", model.__name__).lower()
    if name not in SECTIONS:
        raise TypeError(
            f"{model.__name__} is named like no section: name one in the call, or set the class "
            f"attribute {_ATTRIBUTE}"
        )
    return name


def _refusal(problem: str) -> InvalidFieldError:
    return InvalidFieldError([("section", problem)])

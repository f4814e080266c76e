"""The checks of `relevo validate`: pydantic models, and files of JSON Schemas."""

import os
import re
import sys
from collections.abc import Iterator, Sequence
from functools import reduce
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, NamedTuple, Protocol

from pydantic import BaseModel
from relevo_client import ExecutionContext, InvalidFieldError, InvalidSectionError
from relevo_client._context.codec import context_to_message
from relevo_client._context.paths import default_section, parse, path_text
from relevo_client._context.provenance import provenance_of
from relevo_server.schemas import Schema, of_file
from relevo_server.wire.documents import document_of

from relevo_cli.documents import Json
from relevo_cli.failures import UsageError

HELP = "[SECTION=]MODULE:MODEL, or [SECTION=]FILE of a JSON Schema"
_GIVEN = re.compile(r"(?:([a-z_]+(?:\..+?)?)=)?(.+)", re.DOTALL)
_MODEL = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


class Problem(NamedTuple):
    """A value that breaks a schema."""

    path: str
    description: str
    entries: Sequence[str]
    """The keys of the entries that it may have come from."""

    @property
    def document(self) -> Json:
        """The problem as JSON."""
        return {
            "path": self.path,
            "description": self.description,
            "entries": list(self.entries),
        }


class Check(Protocol):
    """One `--schema`."""

    def problems(self, context: ExecutionContext) -> Iterator[Problem]:
        """The rules that a context breaks."""
        ...


class OfModel:
    """A section, validated into a model."""

    def __init__(self, section: str, model: type[BaseModel]) -> None:
        self._section = section
        self._model = model

    def problems(self, context: ExecutionContext) -> Iterator[Problem]:
        """The rules that the section breaks, up to 20."""
        try:
            context.section(self._section, self._model)
        except InvalidSectionError as error:
            for violation in error.violations:
                yield Problem(*violation)
            if error.left_out:
                yield Problem(self._section, f"and {error.left_out} more", ())


class OfFile:
    """A context, or a section of it, validated by a JSON Schema."""

    def __init__(self, section: str, schema: Schema) -> None:
        self._path = parse(section) if section else ()
        self._schema = schema

    def problems(self, context: ExecutionContext) -> Iterator[Problem]:
        """The rules that the context breaks."""
        whole = document_of(context_to_message(context))
        document: Any = reduce(_member, self._path, whole)
        provenance = provenance_of(context)
        for found, description in self._schema.problems(document):
            field, first, *_ = (*map(str, (*self._path, *found)), None, None)
            entries = provenance.entries_of(field, first) if provenance and field else ()
            yield Problem(path_text((*self._path, *found)), description, entries)


def check(text: str) -> Check:
    """The check that a `--schema` names. Raises UsageError."""
    given = _GIVEN.fullmatch(text)
    section, target = given.groups(default="") if given else ("", text)
    try:
        if section:
            parse(section)
        if _MODEL.fullmatch(target) and not Path(target).exists():
            model = _model(target)
            return OfModel(section or default_section(model), model)
        return OfFile(section, of_file(Path(target)))
    except (InvalidFieldError, TypeError, ValueError) as error:
        raise UsageError(f"--schema: {error}") from None


def _model(text: str) -> type[BaseModel]:
    """The model that a text names. Modules are looked for in the current folder too."""
    module, _, name = text.partition(":")
    if os.getcwd() not in sys.path:  # noqa: PTH109 - as a text
        sys.path.insert(0, os.getcwd())  # noqa: PTH109
    try:
        found: Any = resolve_name(text)
    except AttributeError:
        raise UsageError(f"{module} has no {name}") from None
    except Exception as error:  # the user's module, whatever it raises
        raise UsageError(f"cannot import {module}: {type(error).__name__}: {error}") from error
    if not (isinstance(found, type) and issubclass(found, BaseModel)):
        raise UsageError(f"{text} is no model of pydantic's")
    return found


def _member(document: Any, name: str) -> Any:
    return document.get(name, {}) if isinstance(document, dict) else {}  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]

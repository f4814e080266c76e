"""Typed sections: sections of contexts, validated into pydantic models of the user's.

A section never changes, so a model is made of it once, and kept with it. All contexts that share
the section share the model: other calls with the same version, and other conversations of the same
agent. What is handed out must therefore be immutable, as contexts are. A frozen model is shared,
with its lists and dicts frozen; of any other one, each caller gets a copy.

Sections are validated as the JSON that they are: a strict model takes a time from a text, and a
validator may change the dict that it gets.
"""

import json
from collections.abc import Mapping
from typing import Any, TypeVar, cast

from pydantic import BaseModel, ValidationError

from relevo_client._context.errors import InvalidSectionError, SectionViolation
from relevo_client._context.frozen import FrozenDict
from relevo_client._context.paths import Path, parse, path_text
from relevo_client._context.problems import Problem, problems_of
from relevo_client._context.provenance import provenance_of
from relevo_client._context.sharing import copied, frozen

_Model = TypeVar("_Model", bound=BaseModel)

MAX_MODELS = 16
"""The most models that are kept of one section; the oldest is dropped."""
MAX_VIOLATIONS = 20
"""The most violations that an error names; of the others it has the number."""
_NOTHING = FrozenDict()
_NO_OBJECT = Problem((), "Input should be an object")


class _Template:
    """A model that is not immutable: it is kept, and its copies are handed out."""

    __slots__ = ("model",)

    def __init__(self, model: BaseModel) -> None:
        self.model = model


def section_of(context: object, path: str, model: type[_Model]) -> _Model:
    """The section of a context at a path, as a model. A section that is missing is empty.

    Raises InvalidFieldError for a malformed path, TypeError for what is no model, and
    InvalidSectionError.
    """
    section: object = vars(context).get(path)
    if section.__class__ is not FrozenDict:  # a path, or no section
        section = _section_at(context, parse(path))
    kept = _kept(section, model)
    if kept is None:
        kept = _made(context, path, section, model)
    if kept.__class__ is _Template:
        return cast("_Model", copied(cast("Any", kept).model))
    return cast("_Model", kept)


def _kept(section: object, model: type) -> object:
    """The model's instance of a section; None before its validation, or if it is no section."""
    try:
        return cast("FrozenDict", section).models[model]
    except (AttributeError, KeyError, TypeError):  # a TypeError for a model that is none
        return None


def _section_at(context: object, path: Path) -> object:
    """The value at a path: an empty section if there is none."""
    found: object = context
    for name in path:
        inner: Mapping[str, object] = vars(context) if found is context else cast("Any", found)
        found = inner.get(name, _NOTHING)
        if not isinstance(found, FrozenDict):
            break
    return found


def _made(context: object, path: str, section: object, model: type[BaseModel]) -> object:
    """The model of a section, or the template of its copies, validated and kept."""
    _must_be_model(model)
    problems = [_NO_OBJECT]
    if isinstance(section, FrozenDict):
        try:
            made = model.model_validate_json(json.dumps(section))
        except ValidationError as error:
            problems = problems_of(error)
        else:
            made, is_shareable = frozen(made)
            kept = made if is_shareable else _Template(made)
            _keep(section, model, kept)
            return kept
    # Not within `except`: a traceback that shows the cause would show values.
    raise _error(context, path, model, problems)


def _must_be_model(model: object) -> None:
    if isinstance(model, type) and issubclass(model, BaseModel):
        return
    name = model.__name__ if isinstance(model, type) else f"a {type(model).__name__}"
    raise TypeError(f"a section is read as a subclass of pydantic's BaseModel, not {name}")


def _keep(section: FrozenDict, model: type, kept: object) -> None:
    # Replaced, and never changed: other threads read it, and two may come at the same moment.
    others = getattr(section, "models", {})
    newest = list(others.items())[1 - MAX_MODELS :]
    section.models = {**dict(newest), model: kept}


def _error(context: object, path: str, model: type, problems: list[Problem]) -> InvalidSectionError:
    field, *within = parse(path)
    provenance = provenance_of(context)
    violations: list[SectionViolation] = []
    for loc, description in problems[:MAX_VIOLATIONS]:
        first = next((str(each) for each in (*within, *loc)), None)
        entries = provenance.entries_of(field, first) if provenance else ()
        violations.append(SectionViolation(path_text(loc, path), description, entries))
    return InvalidSectionError(
        path, model.__name__, violations, left_out=len(problems) - len(violations)
    )

"""Error texts for the settings of `relevo serve`, with each one's source and a suggestion."""

import os
import re
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_settings import SettingsError

from relevo_server.cli.near import nearest
from relevo_server.settings import ENV_PREFIX, NESTING, Settings

# Variables that are not settings: RELEVO_CONFIG, and those of the other commands.
_OTHERS = {"ca", "cert", "config", "key", "server", "target", "token", "token_file"}


def explain(error: ValidationError, file: Path | None, flags: Container[str]) -> Iterator[str]:
    """A line for each wrong setting: its name, the problem, and its source.

    Quotes no values. `flags` contains the settings that the command line gives, in the form
    `ttl.default`.
    """
    for problem in error.errors(include_input=False, include_url=False):
        path = tuple(map(str, problem["loc"]))
        name = ".".join(path) or "settings"
        if problem["type"] == "extra_forbidden":
            text = f"is not a setting{_suggestion(path)}"
        else:
            text = problem["msg"].removeprefix("Value error, ")
        is_missing = problem["type"] == "missing"
        source = _source(path[:-1] if is_missing else path, file, flags)
        yield f"{name}: {text} ({source})" if source else f"{name}: {text}"


def explain_unreadable(error: SettingsError, flags: Container[str]) -> str:
    """The line for a setting that must be JSON and is not."""
    found = re.search(r'(?:field "|encountered for )(\w+)', str(error))
    if not found:
        return "settings: cannot be read"
    source = _source((found[1],), None, flags)
    return f"{found[1]}: is not JSON" + (f" ({source})" if source else "")


def unknown_variables(environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Variables that resemble a setting but are none, each with the most similar setting.

    Other variables that begin with RELEVO_ are not ours: Kubernetes sets some for a Service
    named `relevo`.
    """
    for variable in environment:
        name = variable.upper().removeprefix(ENV_PREFIX).partition(NESTING)[0].lower()
        if not variable.upper().startswith(ENV_PREFIX) or name in {
            *Settings.model_fields,
            *_OTHERS,
        }:
            continue
        setting = nearest(name, Settings.model_fields, similarity=0.8)
        if setting:
            yield variable, ENV_PREFIX + setting.upper()


def _suggestion(path: Sequence[str]) -> str:
    """`; did you mean …?` with the most similar setting beside it, or one elsewhere of its name."""
    *outer, name = path
    beside = nearest(name, _fields_at(outer))
    if beside:
        return f"; did you mean {'.'.join((*outer, beside))}?"
    inner = [(outer, name) for outer in Settings.model_fields for name in _fields_at([outer])]
    elsewhere = [".".join(each) for each in inner if each[1] == name]
    return f"; did you mean {elsewhere[0]}?" if elsewhere else ""


def _fields_at(path: Sequence[str]) -> list[str]:
    """The names of the settings within a setting; for an empty path, of the top-level ones."""
    model: type[BaseModel] | None = Settings
    for name in path:
        if model is None:
            return []
        if not name.isdecimal():  # a number is a list's index: the items have one type
            field = model.model_fields.get(name)
            model = _model_in(field.annotation) if field else None
    return list(model.model_fields) if model else []


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for each in get_args(annotation) if (found := _model_in(each))), None)


def _source(path: Sequence[str], file: Path | None, flags: Container[str]) -> str | None:
    """The source of a setting: its flag, else its environment variable, else the file."""
    variables = {name.upper(): name for name in os.environ}
    within = [path[:depth] for depth in range(len(path), 0, -1)]  # JSON may give an outer setting
    for outer in within:
        if (flag := ".".join(outer)) in flags:
            return f"--{flag.replace('_', '-')}"
    for outer in within:
        if (variable := ENV_PREFIX + NESTING.join(outer).upper()) in variables:
            return variables[variable]
    return str(file) if file and path else None

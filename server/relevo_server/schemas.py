"""JSON Schemas of contexts: read from files, and checked by paths.

What a problem says quotes the schema and never a value. A reference of a schema to another file or
to the network is refused, and patterns are matched in linear time: a tenant's values cannot keep a
server busy.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

MAX_FILE_BYTES = 1 << 20
"""The largest file of a schema."""
MAX_SEARCHED_BYTES = 8 << 10
"""The largest document in which a server looks for all problems. jsonschema_rs makes every error at
once, at some 20 µs and 1.5 kB each, and a tenant may send a value in a few bytes."""
_LONGEST = 200
"""Characters of a part of the schema that a problem quotes."""


class Problem(NamedTuple):
    """A value that breaks a schema."""

    path: tuple[str | int, ...]
    """The keys and indexes that lead to the value."""
    description: str


class Schema:
    """A compiled schema."""

    def __init__(self, validator: Any) -> None:
        self._validator = validator

    def problems(
        self, document: Mapping[str, Any], *, only_first: bool = False
    ) -> Iterator[Problem]:
        """What a document breaks, in the order of the schema.

        With `only_first`, the search ends with the first broken rule, which may concern several
        keys. It then takes no more time than a document takes that breaks none.
        """
        if only_first:
            try:
                self._validator.validate(document)
            except ValueError as error:
                yield from _problems(error)
        elif not self._validator.is_valid(document):  # faster than to look for errors
            for each in self._validator.iter_errors(document):
                yield from _problems(each)


def of_scopes(files: dict[str, Path]) -> dict[str, Path]:
    """The files of scopes that may have a schema. Raises ValueError for the scope `snapshot`."""
    if "snapshot" in files:
        raise ValueError("snapshot: cannot have a schema; the scopes that it is composed of can")
    return files


def read(files: Mapping[str, Path]) -> Mapping[str, Schema]:
    """The schemas of scopes, compiled.

    Raises ValueError, with a line for each file that cannot be used, and if there are files and
    the extra `schemas` is not installed.
    """
    found: dict[str, Schema] = {}
    problems: list[str] = []
    for scope, file in files.items():
        try:
            found[scope] = of_file(file)
        except ValueError as error:
            problems.append(f"schemas.{scope}: {error}")
    if problems:
        raise ValueError("\n".join(problems))
    return found


def of_file(file: Path) -> Schema:
    """The schema in a file, compiled. Raises ValueError, as `read` does."""
    return Schema(_compiled(file, _parsed(file)))


def _parsed(file: Path) -> Mapping[str, Any]:
    try:
        content = file.read_bytes()
        if len(content) > MAX_FILE_BYTES:
            raise ValueError(f"{file}: has more than {MAX_FILE_BYTES} bytes")
        schema: object = json.loads(content, parse_constant=partial(_refuse_constant, file))
    except OSError as error:
        raise ValueError(f"{file}: {error.strerror}") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        raise ValueError(f"{file}: is not JSON at {where}") from None
    except UnicodeError:
        raise ValueError(f"{file}: is not UTF-8") from None
    except RecursionError:
        raise ValueError(f"{file}: is nested too deeply") from None
    if not isinstance(schema, dict):
        raise ValueError(f"{file}: must be a JSON object")  # noqa: TRY004 - a setting's error
    return schema  # pyright: ignore[reportUnknownVariableType]


def _refuse_constant(file: Path, name: str) -> NoReturn:
    raise ValueError(f"{file}: {name} is no JSON")


def _compiled(file: Path, schema: Mapping[str, Any]) -> Any:
    try:
        import jsonschema_rs  # noqa: PLC0415 - servers without schemas do without the extra
    except ModuleNotFoundError as error:
        raise ValueError(
            f"needs {error.name}; install it with: pip install 'relevo[schemas]'"
        ) from None
    try:
        return jsonschema_rs.validator_for(
            dict(schema),
            offline=True,
            pattern_options=jsonschema_rs.RegexOptions(),
            validate_formats=True,
            ignore_unknown_formats=False,
        )
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        path = "/".join(map(str, getattr(error, "instance_path", ())))
        text = _shortened(str(getattr(error, "message", error)))
        raise ValueError(f"{file}: is no JSON Schema at #/{path}: {text}") from None


def _problems(error: Any) -> Iterator[Problem]:
    """The problems of an error of jsonschema_rs, each at the value that it is about."""
    path, kind = tuple(error.instance_path), error.kind
    match type(kind).__name__:
        case "Required":
            yield Problem((*path, kind.property), "must be given")
        case "AdditionalProperties" | "UnevaluatedProperties":
            for key in kind.unexpected:
                yield Problem((*path, key), "is not allowed by the schema")
        case _:
            yield Problem(path, _description(kind))


def _description(kind: Any) -> str:
    describe = _DESCRIPTIONS.get(type(kind).__name__)
    return describe(kind) if describe else f"breaks {kind.name} of the schema"


def _quoted(part: object) -> str:
    return _shortened(json.dumps(part, ensure_ascii=False, default=str))


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


_DESCRIPTIONS: Mapping[str, Callable[[Any], str]] = {
    "AdditionalItems": lambda kind: f"must have at most {kind.limit} items",
    "AnyOf": lambda _: "must fit at least one of the schemas of anyOf",
    "Constant": lambda kind: f"must be {_quoted(kind.expected_value)}",
    "Contains": lambda _: "must have an item that fits the schema of contains",
    "Enum": lambda kind: f"must be one of {_quoted(kind.options)}",
    "ExclusiveMaximum": lambda kind: f"must be less than {kind.limit}",
    "ExclusiveMinimum": lambda kind: f"must be more than {kind.limit}",
    "FalseSchema": lambda _: "is not allowed by the schema",
    "Format": lambda kind: f"must be of the format {kind.format}",
    "MaxItems": lambda kind: f"must have at most {kind.limit} items",
    "MaxLength": lambda kind: f"must have at most {kind.limit} characters",
    "MaxProperties": lambda kind: f"must have at most {kind.limit} keys",
    "Maximum": lambda kind: f"must be at most {kind.limit}",
    "MinItems": lambda kind: f"must have at least {kind.limit} items",
    "MinLength": lambda kind: f"must have at least {kind.limit} characters",
    "MinProperties": lambda kind: f"must have at least {kind.limit} keys",
    "Minimum": lambda kind: f"must be at least {kind.limit}",
    "MultipleOf": lambda kind: f"must be a multiple of {kind.multiple_of}",
    "Not": lambda _: "must not fit the schema of not",
    "OneOfMultipleValid": lambda _: "must fit only one of the schemas of oneOf",
    "OneOfNotValid": lambda _: "must fit one of the schemas of oneOf",
    "Pattern": lambda kind: f"must match the pattern {_shortened(kind.pattern)}",
    "PropertyNames": lambda kind: f"has a key that breaks a rule: {_description(kind.error.kind)}",
    "Type": lambda kind: f"must be of the type {' or '.join(kind.types)}",
    "UniqueItems": lambda _: "must not have the same item twice",
}
"""A problem's text for each kind of error of jsonschema_rs."""

"""The reference of the server's settings, from their pydantic model."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import SecretStr
from relevo_server.settings import ENV_PREFIX, NESTING, Settings

from docs_pages.markdown import table, text

_INTRO = """# Settings of the server

Each is a key of the TOML file, an environment variable, or a flag of `relevo serve`:
`--store-timeout` for `store_timeout`, `--ttl.default` for `ttl.default`.
[Operating a store](../operations.md#settings) says which one wins. Made of the model that
`relevo serve` validates them with.
"""
_WITHOUT_VARIABLES = "In environment variables and flags, the whole list is one JSON array."
_HIDDEN = str(SecretStr("a default"))
Schema = Mapping[str, Any]


def page() -> str:
    """The page's text."""
    schema = Settings.model_json_schema()
    definitions = schema["$defs"]
    return _INTRO + "".join(_sections(schema, definitions))


def _sections(schema: Schema, definitions: Schema) -> Iterator[str]:
    nested: list[tuple[str, Schema, bool]] = [("", schema, False)]
    while nested:
        path, model, is_list = nested.pop(0)
        rows: list[list[str]] = []
        for name, given in model["properties"].items():
            dotted = f"{path}.{name}".lstrip(".")
            found, many = _model(given, definitions)
            if found:
                nested.append((dotted, found, many or is_list))
            rows.append(_row(dotted, name, given, definitions, in_list=is_list))
        if path:
            yield f"\n## {path}\n\n{_said(model)}\n"
        if is_list:
            yield f"\n{_WITHOUT_VARIABLES}\n"
            yield table(["setting", "type", "default", "meaning"], rows)
        else:
            if not path:
                yield "\n## The server\n"
            yield table(["setting", "variable", "type", "default", "meaning"], rows)


def _said(model: Schema) -> str:
    return text(model.get("description", ""))


def _row(path: str, name: str, given: Schema, definitions: Schema, *, in_list: bool) -> list[str]:
    found, _ = _model(given, definitions)
    kind = f"[table](#{path.replace('.', '')})" if found else _type(given)
    meaning = text(given.get("description", "")) or (_said(found) if found else "")
    row = [f"`{name if in_list else path}`", kind, _default(given, found), meaning]
    if not in_list:
        row.insert(1, f"`{ENV_PREFIX}{path.replace('.', NESTING).upper()}`")
    return row


def _model(given: Schema, definitions: Schema) -> tuple[Schema | None, bool]:
    """The model that a setting has values of, and whether it is a list of them."""
    for each in (given, *given.get("anyOf", ())):
        items = each.get("items", {})
        for one, is_list in ((each, False), (items, True)):
            name = one.get("$ref", "").rpartition("/")[2]
            if name and "properties" in definitions[name]:
                return definitions[name], is_list
    return None, False


def _type(given: Schema) -> str:
    if "anyOf" in given:
        kinds = [_type(each) for each in given["anyOf"] if each.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if "enum" in given:
        return ", ".join(f"`{each}`" for each in given["enum"])
    if "const" in given:
        return f"`{given['const']}`"
    kind = _KINDS.get(given.get("format", ""), _KINDS.get(given.get("type", ""), "text"))
    if given.get("type") == "array":
        items = given.get("items", {})
        return f"list of {_type(items)}"
    return kind + _bounds(given)


_KINDS = {
    "boolean": "true or false",
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "object": "table",
    "path": "path",
    "date-time": "time",
}


def _bounds(given: Schema) -> str:
    # A setting may have both: that of its kind, such as "above 0", and a closer one of its own.
    lower = "minimum" if "minimum" in given else "exclusiveMinimum"
    bounds = [
        f"{sign} {given[name]:,}"
        for name, sign in ((lower, "≥" if lower == "minimum" else ">"), ("maximum", "≤"))
        if name in given
    ]
    return f" {' and '.join(bounds)}" if bounds else ""


def _default(given: Schema, model: Schema | None) -> str:
    if "default" not in given:
        return "required"
    default = given["default"]
    if default is None or (model and default == []):
        return "none"
    if model:
        return "its own"
    if default == _HIDDEN:  # the store's URL is a secret, but its default is none
        default = Settings.model_fields["store"].default.get_secret_value()
    return f"`{default if isinstance(default, str) else json.dumps(default)}`"

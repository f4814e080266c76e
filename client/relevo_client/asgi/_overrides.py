"""Overrides: headers by which a request changes its conversation's entry."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from relevo_client._context.errors import InvalidFieldError
from relevo_client._context.model import ExecutionContext
from relevo_client._context.paths import SECTIONS
from relevo_client._context.values import freeze
from relevo_client._propagation.callbacks import failure
from relevo_client.asgi._answers import malformed, rejected
from relevo_client.asgi._headers import HeaderValues

_FIELDS = ("session_id", "tenant_tier")
"""The fields of the identity that an override may change."""
_MISSING = object()


@dataclass(frozen=True)
class Override:
    """The place of a header's value in a context, and its conversion.

    Raises ValueError for a path of another form than documented here.
    """

    path: str
    """`section.key`, such as `llm_config.model`; or `session_id`, or `tenant_tier`."""
    convert: Callable[[str], Any] = str
    """Converts the header's text to the value. A ValueError is answered with 400."""

    def __post_init__(self) -> None:
        section, _, key = self.path.partition(".")
        if not (self.path in _FIELDS or (section in SECTIONS and key and "." not in key)):
            fields = " or ".join(_FIELDS)
            raise ValueError(f"{self.path!r} is not a section's key (section.key), nor {fields}")

    def value(self, text: str) -> Any:
        """The value for a header's text.

        Raises ValueError if it cannot be converted, and InvalidFieldError if a context cannot
        have the value.
        """
        return freeze(self.convert(text), self.path)

    def is_in(self, context: ExecutionContext, value: Any) -> bool:
        """Whether a context already has this value."""
        field, _, key = self.path.partition(".")
        found = getattr(context, field)
        if key:
            found = found.get(key, _MISSING)
        # Python's True equals 1, which is another value in JSON.
        return bool(found == value) and isinstance(found, bool) is isinstance(value, bool)


Overrides: TypeAlias = Mapping[str, Override | str]


class OverrideHeaders:
    """The overrides of one middleware, by the names of their headers."""

    def __init__(self, overrides: Overrides) -> None:
        self._overrides = {
            name: Override(rule) if isinstance(rule, str) else rule
            for name, rule in overrides.items()
        }
        self.names = tuple(self._overrides)

    def requested(self, values: HeaderValues) -> "RequestedOverrides":
        """The overrides in a request's headers. Raises AnsweredError."""
        values_by_override: list[tuple[Override, Any]] = []
        violations: list[tuple[str, str]] = []
        for name, text in values.read(self.names).items():
            rule = self._overrides[name]
            try:
                values_by_override.append((rule, rule.value(text)))
            except InvalidFieldError as error:
                violations += [(name, problem) for _, problem in error.violations]
            except ValueError:  # not with its text, which may quote the header
                violations.append((name, "has a value of another kind"))
            except Exception as error:  # noqa: BLE001 - the user's function, whatever it raises
                raise rejected(failure(rule.convert, error).refusal) from None
        if violations:
            raise malformed(violations)
        return RequestedOverrides(values_by_override)


class RequestedOverrides:
    """The values that a request sets in its conversation's entry."""

    def __init__(self, values: Sequence[tuple[Override, Any]] = ()) -> None:
        self._values = values

    def changes(self, context: ExecutionContext) -> dict[str, Any]:
        """The changes to a context, as `update` takes them; empty if it has all the values."""
        changes: dict[str, Any] = {}
        for rule, value in self._values:
            if rule.is_in(context, value):
                continue
            field, _, key = rule.path.partition(".")
            if key:
                changes.setdefault(field, {})[key] = value
            else:
                changes[field] = value
        return changes

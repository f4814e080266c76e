"""Headers by which a request changes its conversation's settings."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from relevo_client._context.errors import InvalidFieldError
from relevo_client._context.model import SECTIONS, ExecutionContext
from relevo_client._context.values import freeze
from relevo_client._propagation.callbacks import failure
from relevo_client.asgi._answers import malformed, rejected
from relevo_client.asgi._headers import HeaderValues

_FIELDS = ("session_id", "tenant_tier")
"""What may change in who a conversation is for."""
_MISSING = object()


@dataclass(frozen=True)
class Override:
    """Where a header's value belongs, and as what."""

    path: str
    """`section.key`, such as `llm_config.model`; or `session_id`, or `tenant_tier`."""
    convert: Callable[[str], Any] = str
    """Makes the value of the header's text; a ValueError is the client's fault."""

    def __post_init__(self) -> None:
        section, _, key = self.path.partition(".")
        if not (self.path in _FIELDS or (section in SECTIONS and key and "." not in key)):
            fields = " or ".join(_FIELDS)
            raise ValueError(f"{self.path!r} is not a section's key (section.key), nor {fields}")

    def value(self, text: str) -> Any:
        """What the header's text stands for. Raises ValueError, InvalidFieldError for one."""
        return freeze(self.convert(text), self.path)

    def is_in(self, context: ExecutionContext, value: Any) -> bool:
        """Whether a context has this value already."""
        field, _, key = self.path.partition(".")
        found = getattr(context, field)
        if key:
            found = found.get(key, _MISSING)
        # True is 1 to Python, and not to anyone who reads JSON.
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
        """What a request wants to change. Raises AnsweredError."""
        values_by_override: list[tuple[Override, Any]] = []
        violations: list[tuple[str, str]] = []
        for name, text in values.read(self.names).items():
            rule = self._overrides[name]
            try:
                values_by_override.append((rule, rule.value(text)))
            except InvalidFieldError as error:
                violations += [(name, problem) for _, problem in error.violations]
            except ValueError:  # its text may quote the header
                violations.append((name, "has a value that is not of its kind"))
            except Exception as error:  # noqa: BLE001 - the user's function, whatever it raises
                raise rejected(failure(rule.convert, error).refusal) from None
        if violations:
            raise malformed(violations)
        return RequestedOverrides(values_by_override)


class RequestedOverrides:
    """The values that a request wants its conversation to have."""

    def __init__(self, values: Sequence[tuple[Override, Any]] = ()) -> None:
        self._values = values

    def changes(self, context: ExecutionContext) -> dict[str, Any]:
        """What a context has to be updated with, as `update` takes it; empty where nothing."""
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

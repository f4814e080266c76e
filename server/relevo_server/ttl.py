"""The time to live of entries, as settings have it."""

from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from relevo_server.identities import key_part

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
"""A time in a setting."""


class Ttl(BaseModel):
    """The time to live of entries, in seconds."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, hide_input_in_errors=True
    )

    default: Seconds = 300.0
    """Seconds for scopes without a time to live of their own."""
    maximum: Seconds = 86_400.0
    """The longest time to live, in seconds, that a Put may request."""
    scopes: dict[Annotated[str, AfterValidator(key_part)], Seconds] = {}
    """Seconds by scope. Adds scopes to, or overrides, the built-in `conversation`, `snapshot`,
    `agent_config` and `collection_config`."""
    sliding: tuple[Annotated[str, AfterValidator(key_part)], ...] = ("conversation", "snapshot")
    """Scopes whose entries live on while they are in use: a Touch restarts their time to live."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        for scope, seconds in {"default": self.default, **self.scopes}.items():
            if seconds > self.maximum:
                raise ValueError(f"{scope} has {seconds:g} s, more than the maximum")
        return self

    def of(self, scope: str) -> int:
        """The time to live of this scope's entries, in milliseconds."""
        seconds = self.scopes.get(scope, _TTL_BY_SCOPE.get(scope, self.default))
        return round(min(seconds, self.maximum) * 1000)


_TTL_BY_SCOPE = {
    "conversation": 1800.0,
    "snapshot": 1800.0,
    "agent_config": 600.0,
    "collection_config": 900.0,
}

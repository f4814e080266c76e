"""The settings of encryption."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Encryption(BaseModel):
    """The encryption of values before Redis has them.

    The key ring has one source: a file or a command. Needs the extra `encryption`.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True
    )

    key_ring: Path | None = None
    """TOML file with the keys that wrap the tenants' data keys. Loaded again when it changes."""
    key_ring_command: Annotated[str, Field(min_length=1)] | None = None
    """Command that prints such a file. No shell runs it."""
    key_ring_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 300.0
    """Seconds after which the command is run again."""
    values: Literal["write", "read", "only"] = "write"
    """`write`: encrypt what is written, and read values that are not encrypted too. `read`: encrypt
    nothing, but read encrypted values; for the time until all servers do. `only`: refuse to read
    values that are not encrypted."""
    data_keys: Annotated[int, Field(gt=0)] = 10_000
    """The most data keys of tenants that are kept in memory."""
    data_key_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 60.0
    """Seconds for which each is kept. A shredded tenant's is forgotten by then at the latest."""

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if (self.key_ring is None) == (self.key_ring_command is None):
            raise ValueError("must have either key_ring or key_ring_command")
        return self

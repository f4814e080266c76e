"""The settings that a service works with, in every mode."""

from collections.abc import Mapping
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict

Section = Mapping[str, Any]


class Settings(Protocol):
    """The sections of an agent's configuration."""

    @property
    def llm_config(self) -> Section:
        """The language model's settings."""
        ...

    @property
    def embedding_config(self) -> Section:
        """The settings for embedding text."""
        ...

    @property
    def rag_config(self) -> Section:
        """The settings for retrieval."""
        ...

    @property
    def agent_config(self) -> Section:
        """The agent's behavior."""
        ...

    @property
    def metadata(self) -> Section:
        """Further data, including the versions of the configurations."""
        ...


class PlainSettings(BaseModel):
    """The same sections as a JSON model, as platforms without Relevo have them."""

    model_config = ConfigDict(frozen=True)

    llm_config: dict[str, Any]
    embedding_config: dict[str, Any]
    rag_config: dict[str, Any]
    agent_config: dict[str, Any]
    metadata: dict[str, Any]

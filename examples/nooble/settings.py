"""What a service works with, whichever mode it is from."""

from collections.abc import Mapping
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict

Section = Mapping[str, Any]


class Settings(Protocol):
    """The sections of an agent's configuration."""

    @property
    def llm_config(self) -> Section:
        """How to ask the language model."""
        ...

    @property
    def embedding_config(self) -> Section:
        """How to embed text."""
        ...

    @property
    def rag_config(self) -> Section:
        """How to search."""
        ...

    @property
    def agent_config(self) -> Section:
        """How the agent behaves."""
        ...

    @property
    def metadata(self) -> Section:
        """Among others the versions of the configuration."""
        ...


class PlainSettings(BaseModel):
    """The same, as platforms without Relevo have it: a model of JSON."""

    model_config = ConfigDict(frozen=True)

    llm_config: dict[str, Any]
    embedding_config: dict[str, Any]
    rag_config: dict[str, Any]
    agent_config: dict[str, Any]
    metadata: dict[str, Any]

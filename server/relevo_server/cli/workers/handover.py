"""The handover from a supervisor to a worker: its number and its settings."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple, Self

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from relevo_server.settings import Settings
from relevo_server.workers import Worker

OF_SUPERVISOR = frozenset(
    {"listen", "log_format", "metrics_listen", "reuse_port", "worker_timeout", "workers"}
)
"""The settings that only a restart of the supervisor itself changes."""
_OF_TLS = frozenset({"tls_certificate", "tls_client_ca", "tls_key"})


class Handover(NamedTuple):
    """The settings with which a worker begins, and its number."""

    worker: Worker
    settings: Settings
    has_metrics: bool
    """Whether the supervisor asks for metrics."""
    beat: float
    """Seconds between two signs of life."""

    def packed(self) -> dict[str, Any]:
        """The same, as JSON has it. It has the store's password."""
        return {**self._asdict(), "settings": packed(self.settings)}

    @classmethod
    def unpacked(cls, given: Mapping[str, Any]) -> Self:
        """The handover that was packed."""
        return cls(
            Worker(*given["worker"]),
            unpacked(given["settings"]),
            given["has_metrics"],
            given["beat"],
        )


def of_worker(settings: Settings, listen: str) -> Settings:
    """The settings of a worker that shares an address with others."""
    own = {"listen": listen, "reuse_port": True, "metrics_listen": None}
    return settings.model_copy(update=own)


def packed(settings: Settings) -> dict[str, Any]:
    """Settings as JSON has them, with the store's password."""
    values = settings.model_dump(mode="json")
    return {**values, "store": settings.store.get_secret_value()}


def unpacked(values: Mapping[str, Any]) -> Settings:
    """The settings that were packed. Neither this process's environment nor a file adds to them."""
    return _Given(**values)


def kept(before: Settings, after: Settings, restart: AbstractSet[str]) -> Settings:
    """The settings `after` a reload, but those that need a restart as they were `before`."""
    names = restart | _OF_TLS if restart & _OF_TLS else restart
    return after.model_copy(update={name: getattr(before, name) for name in names})


class _Given(Settings):
    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

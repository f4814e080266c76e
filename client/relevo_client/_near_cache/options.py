"""The public options of the near cache."""

from dataclasses import dataclass

_PINGS = 8
"""The number of pings that are sent within `max_staleness` to servers that give no signs of life
by themselves."""
_SPARE = 0.7
"""Seconds for which a sign still proves something when the next one is due: it is as of a look at
the log that may be a heartbeat old, and the next one may be late."""


@dataclass(frozen=True)
class CacheOptions:
    """The bounds of a client's near cache."""

    max_staleness: float = 2.0
    """Seconds for which a cached entry may be used after contact with the store was lost."""
    max_entries: int = 10_000
    """The maximum number of cached entries; the least recently used ones are evicted first."""
    max_bytes: int = 64 << 20
    """The maximum serialized size of all cached entries together, in bytes."""
    service_name: str = ""
    """The name by which operators see this client. By default the one of OpenTelemetry, from the
    environment: OTEL_SERVICE_NAME, or `service.name` in OTEL_RESOURCE_ATTRIBUTES."""
    service_version: str = ""
    """The version that operators see beside it; by default `service.version` in
    OTEL_RESOURCE_ATTRIBUTES."""

    idle_after: float = 60.0
    """Seconds without a read of the cache after which the store gives no signs of life, as nobody
    needs them. The next read asks the store and for signs; those after it are served again."""

    sample_every: int = 0
    """One answer of so many is compared with the store afterwards, in the background; 0: none.
    The verdicts are counted by the metric `relevo.client.sampler.checks`. If the store has another
    version, the near cache is looked up again, which counts as a hit."""

    @property
    def ping_interval(self) -> float:
        """Seconds between two pings to a store that gives no signs of life by itself."""
        return self.max_staleness / _PINGS

    @property
    def sign_interval(self) -> float:
        """Seconds between two signs of life of the store."""
        return max(self.max_staleness / 3, self.max_staleness - _SPARE)

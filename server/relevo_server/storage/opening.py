"""Opens the storage backend that a URL names."""

from relevo_server.encryption import Encryption
from relevo_server.storage.interface import Storage
from relevo_server.storage.memory import MemoryStorage
from relevo_server.storage.redis.client import Client
from relevo_server.storage.redis.storage import RedisStorage
from relevo_server.telemetry.telemetry import NOTHING, Telemetry


def open_storage(
    url: str,
    *,
    partitions: int,
    prefix: str = "relevo",
    timeout: float = 1.0,
    max_connections: int = 64,
    log_length: int = 100_000,
    request_ttl: float = 600.0,
    longest_ttl: float = 86_400.0,
    recent_bytes: int = 32 << 20,
    telemetry: Telemetry = NOTHING,
    encryption: Encryption | None = None,
) -> Storage:
    """The storage backend for a URL; nothing is sent yet.

    The URL is `memory://`; one Redis (`redis://`, `rediss://`, `unix://`); the master that
    Sentinels name (`redis+sentinel://host1:26379,host2:26379/service/0`, or
    `rediss+sentinel://`); or a Redis Cluster (`redis+cluster://` or `rediss+cluster://`).

    Times are in seconds: `timeout` bounds one step, `request_ttl` is how long a request_id
    is remembered, `longest_ttl` the longest time to live of entries that are written.
    `log_length` is the approximate number of events that a partition keeps; `recent_bytes`
    bounds the contexts that are cached so that Redis need not send them again. `telemetry`
    measures the commands of Redis. `encryption` says how values are encrypted, and needs its
    extra. Raises ValueError if the URL is malformed.
    """
    storage: Storage
    if url.startswith("memory:"):
        storage = MemoryStorage(
            partitions, log_length=log_length, request_ttl_ms=round(request_ttl * 1000)
        )
    else:
        storage = RedisStorage(
            Client(
                url,
                timeout=timeout,
                max_connections=max_connections,
                telemetry=telemetry,
            ),
            partitions,
            prefix=prefix,
            log_length=log_length,
            request_ttl_ms=round(request_ttl * 1000),
            longest_ttl_ms=round(longest_ttl * 1000),
            recent_bytes=recent_bytes,
            is_encrypted=encryption is not None,
        )
    return _encrypted(storage, encryption) if encryption else storage


def _encrypted(storage: Storage, encryption: Encryption) -> Storage:
    # Imported only now: the extra `encryption` may not be installed.
    from relevo_server.storage.encrypted.sources import source_of  # noqa: PLC0415
    from relevo_server.storage.encrypted.storage import EncryptedStorage  # noqa: PLC0415

    return EncryptedStorage(
        storage,
        source_of(encryption.key_ring, encryption.key_ring_command, encryption.key_ring_seconds),
        values=encryption.values,
        max_tenants=encryption.data_keys,
        lifetime=encryption.data_key_seconds,
    )

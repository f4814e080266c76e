"""Which backend a URL means."""

from urllib.parse import urlsplit

from relevo_server.storage.connection import Connection
from relevo_server.storage.interface import Storage
from relevo_server.storage.memory import MemoryStorage
from relevo_server.storage.redis import RedisStorage

REDIS_SCHEMES = ("redis", "rediss", "unix", "redis+cluster")


def open_storage(
    url: str,
    *,
    partitions: int,
    prefix: str = "relevo",
    timeout: float = 1.0,
    max_connections: int = 64,
    log_length: int = 100_000,
    request_ttl: float = 600.0,
) -> Storage:
    """The backend for `memory://`, `redis://`, `rediss://`, `unix://` or `redis+cluster://`.

    Nothing is sent yet. Times in seconds: `timeout` bounds one step, `request_ttl`
    is how long a request_id is remembered. `log_length` is how many events a
    partition keeps, about. Raises ValueError for any other URL.
    """
    scheme = urlsplit(url).scheme
    if scheme == "memory":
        return MemoryStorage(
            partitions, log_length=log_length, request_ttl_ms=round(request_ttl * 1000)
        )
    if scheme in REDIS_SCHEMES:
        return RedisStorage(
            Connection(url, timeout=timeout, max_connections=max_connections),
            partitions,
            prefix=prefix,
            log_length=log_length,
            request_ttl_ms=round(request_ttl * 1000),
        )
    schemes = ", ".join(f"{name}://" for name in ("memory", *REDIS_SCHEMES))
    raise ValueError(f"must begin with one of {schemes}")

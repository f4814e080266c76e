"""A Redis client that inspects and changes the store's data directly."""

from typing import Any, Self

import redis


class RedisClient:
    """Sends commands to one Redis server: `client("HGET", name, field)`. Use with `with`.

    Replies are in redis-py's form; names and values are bytes.
    """

    def __init__(self, url: str) -> None:
        library: Any = redis.Redis  # whose types are only half known
        self._client = library.from_url(url, socket_timeout=5)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def __call__(self, *words: str | bytes | int) -> Any:
        """Send one command."""
        return self._client.execute_command(*words)

    def names(self, prefix: str) -> list[str]:
        """The names of all keys of a store with this prefix, sorted."""
        found = self._client.scan_iter(match=f"*{prefix}:*", count=1000)
        return sorted(name.decode() for name in found)

    def forget(self, prefix: str) -> None:
        """Delete a store with this prefix."""
        names = self.names(prefix)
        if names:
            self("DEL", *names)

    def commands(self) -> Any:
        """The output of MONITOR, as redis-py's own context manager."""
        return self._client.monitor()

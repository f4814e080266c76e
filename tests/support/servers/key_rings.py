"""Key rings of servers that encrypt, and what Redis holds."""

from base64 import b64encode
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from relevo_server.encryption import Encryption
from relevo_server.settings import Settings

from support.redis.client import RedisClient


def ring_text(*names: str, primary: str = "", seed: str = "") -> str:
    """A ring with keys of these names, the first of which is primary by default.

    Keys of the same name and seed are the same key.
    """
    keys = {name: (seed + name).encode().ljust(32, b"-")[:32] for name in names}
    lines = [f'"{name}" = "{b64encode(key).decode()}"' for name, key in keys.items()]
    return "\n".join([f'primary = "{primary or names[0]}"', "[keys]", *lines, ""])


def write_ring(path: Path, *names: str, primary: str = "", seed: str = "") -> None:
    """Replace the file by a ring."""
    write_text(path, ring_text(*names, primary=primary, seed=seed))


def write_text(path: Path, text: str) -> None:
    """Replace the file in one step, as a mounted secret is."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


def encrypting(settings: Settings, ring: Path | None, **rest: Any) -> Settings:
    """The settings with encryption by this ring, or without for None."""
    encryption = Encryption(key_ring=ring, **rest) if ring else None
    return settings.model_copy(update={"encryption": encryption})


def everything(redis: RedisClient, prefix: str) -> bytes:
    """All names, fields and values of a store in Redis, joined."""
    parts: list[bytes] = []
    for name in redis.names(prefix):
        parts.append(name.encode())
        match redis("TYPE", name):
            case b"hash":
                parts += _flat(redis("HGETALL", name))
            case b"stream":
                parts += _flat(redis("XRANGE", name, "-", "+"))
            case kind:
                raise AssertionError(f"{name} is a {kind}")
    return b"\n".join(parts)


def _flat(reply: Any) -> Iterator[bytes]:
    if isinstance(reply, bytes):
        yield reply
        return
    parts: Any = reply
    if isinstance(reply, dict):
        parts = chain.from_iterable(parts.items())
    for part in parts:
        yield from _flat(part)

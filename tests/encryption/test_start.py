"""Servers that must not start: their key ring is not the store's, or cannot be used."""

from pathlib import Path

import pytest
from relevo_server.server import Server
from relevo_server.settings import Settings
from relevo_server.storage import LayoutError
from support.clients.calls import context, get, key, put
from support.redis.client import RedisClient
from support.servers.key_rings import encrypting, ring_text, write_ring, write_text
from support.servers.process import relevo_ends
from support.servers.serving import serving
from support.waiting import until_async

MARK = "s3cret-value"


async def refusal_of(settings: Settings) -> str:
    """Why a server does not start."""
    with pytest.raises(LayoutError) as raised:
        async with Server(settings):
            pass
    return str(raised.value)


async def test_wrong_rings(settings: Settings, tmp_path: Path) -> None:
    """A ring without the store's key, or with another key of the same name, is refused at start.

    So is a server without encryption. Nothing is written by any of them.
    """
    async with serving(settings) as stub:
        await put(stub, key(), context(user_id=MARK))
    other = tmp_path / "other.toml"
    write_ring(other, "another")
    assert "does not have the key 'old'" in await refusal_of(encrypting(settings, other))
    write_ring(other, "old", seed="other")
    assert "but is another one" in await refusal_of(encrypting(settings, other))
    reading = encrypting(settings, other, values="read")
    assert "but is another one" in await refusal_of(reading)
    assert "set `encryption`" in await refusal_of(encrypting(settings, None))
    async with serving(settings) as stub:
        assert (await get(stub, key())).entry.context.user_id == MARK


async def test_the_first_one_decides(settings: Settings, plain: Settings, ring: Path) -> None:
    """A server that only reads encrypted values leaves the store to servers without encryption."""
    async with serving(encrypting(settings, ring, values="read")) as stub:
        await put(stub, key(), context(user_id=MARK))
    async with serving(plain) as running, serving(settings) as stub:
        await put(stub, key("c2"), context(user_id=MARK))
        # A server that runs already goes on: it reads what it can.
        assert (await get(running, key())).entry.context.user_id == MARK


async def test_a_store_that_lost_its_data(
    settings: Settings, plain: Settings, redis: RedisClient
) -> None:
    """After a loss of all data the ring is recorded again, so that no other one gets in."""
    async with serving(settings.model_copy(update={"health_interval": 0.05})) as stub:
        await put(stub, key(), context(user_id=MARK))
        redis.forget(settings.store_prefix)
        await put(stub, key(), context(user_id=MARK))
        assert (await get(stub, key())).entry.context.user_id == MARK

        async def is_recorded() -> bool:
            return bool(redis("HGET", f"{settings.store_prefix}:layout", "ring"))

        await until_async(is_recorded, what="the ring to be recorded")
    assert "set `encryption`" in await refusal_of(plain)


async def test_unusable_rings(settings: Settings, ring: Path) -> None:
    """A malformed ring, and one that is no file, are refused at start."""
    for text, problem in (
        ("primary = ", "is not TOML"),
        (ring_text("a", primary="b"), "primary: must be the name of one of the keys"),
    ):
        write_text(ring, text)
        assert problem in await refusal_of(settings)


def test_what_the_command_says(tmp_path: Path) -> None:
    """`relevo serve` names what is wrong with the file, and ends with 1."""
    path = tmp_path / "ring.toml"
    ended = relevo_ends("--encryption.key-ring", str(path))
    assert ended.returncode == 1
    assert f"relevo serve: key ring: {path}: No such file or directory" in ended.stderr


def test_settings_name_one_source() -> None:
    """A setting of encryption without a ring is refused with its name."""
    ended = relevo_ends("--encryption.values", "only")
    assert ended.returncode == 2
    assert "encryption: must have either key_ring or key_ring_command" in ended.stderr

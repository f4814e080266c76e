"""A server on a real Redis that encrypts."""

from pathlib import Path

import pytest
from relevo_server.settings import Settings
from support.servers.key_rings import encrypting, write_ring


@pytest.fixture
def store_url(redis_url: str) -> str:
    """These tests are about Redis."""
    return redis_url


@pytest.fixture
def ring(tmp_path: Path) -> Path:
    """The file of a key ring with one key, `old`."""
    path = tmp_path / "ring.toml"
    write_ring(path, "old")
    return path


@pytest.fixture
def plain(settings: Settings) -> Settings:
    """The settings without encryption."""
    return encrypting(settings, None)


@pytest.fixture
def settings(settings: Settings, ring: Path) -> Settings:
    """The settings of a server that encrypts."""
    return encrypting(settings, ring)

"""Health in an outage of Redis: the process lives, and is not ready."""

import pytest
from relevo_server.server import Server
from relevo_server.settings import Settings
from support.network.proxy import Proxy
from support.servers.serving import health_of
from support.waiting import until_async

READY = ("", "readiness", "relevo.v1.ContextStore")


@pytest.fixture
def store_url(way: Proxy) -> str:
    """The server reaches Redis through the proxy."""
    return f"redis://127.0.0.1:{way.port}"


async def until_all(server: Server, status: str) -> None:
    """Wait until everything that follows the store has this status."""

    async def all_have_it() -> bool:
        return {await health_of(server.address, name) for name in READY} == {status}

    await until_async(all_have_it)


async def test_liveness_does_not_follow_redis(server: Server, way: Proxy) -> None:
    """Without Redis, readiness is NOT_SERVING and liveness SERVING: no restart brings it back."""
    await until_all(server, "SERVING")
    assert await health_of(server.address, "liveness") == "SERVING"
    way.refuse()
    await until_all(server, "NOT_SERVING")
    assert await health_of(server.address, "liveness") == "SERVING"
    way.accept()
    await until_all(server, "SERVING")
    assert await health_of(server.address, "liveness") == "SERVING"


async def test_a_start_without_redis(way: Proxy, settings: Settings) -> None:
    """A server that starts in an outage lives, and is ready once Redis is there."""
    way.refuse()
    async with Server(settings) as server:
        assert await health_of(server.address, "liveness") == "SERVING"
        for name in READY:
            assert await health_of(server.address, name) == "NOT_SERVING"
        way.accept()
        await until_all(server, "SERVING")

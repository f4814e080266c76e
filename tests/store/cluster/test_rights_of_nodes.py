"""Users of a Redis Cluster: each node has its own, and one of them may lack a right."""

import logging

import pytest
from pydantic import SecretStr
from relevo_server import errors, health
from relevo_server.server import Server, storage_of
from relevo_server.settings import Settings
from relevo_server.storage.redis.client import Client
from support.logs import events_of
from support.redis.cluster import RedisCluster
from support.redis.users import User
from support.servers.serving import health_of
from support.waiting import until_async


async def test_a_node_that_lacks_a_right(
    redis_cluster: RedisCluster,
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is logged once while servers run, and they serve: the tenants of other nodes have theirs.

    This holds for whichever node it is, if the store's first partition is not on it.
    """
    monkeypatch.setattr(health, "RIGHTS_INTERVAL", 0.0)
    first = redis_cluster.node_of(f"{{{settings.store_prefix}:0}}")
    other = next(i for i in range(len(redis_cluster.clients)) if i != first)
    with User(redis_cluster.clients, settings.store_prefix, "+asking", "+cluster|slots") as user:
        store = SecretStr(user.url(redis_cluster.url))
        often = settings.model_copy(update={"store": store, "health_interval": 0.05})
        async with Server(often) as server:
            caplog.set_level(logging.INFO, "relevo_server")
            redis_cluster.clients[other]("ACL", "SETUSER", user.name, "-xadd")
            await until_async(lambda: events_of(caplog))
            for _ in range(3):
                await server._health._check()  # pyright: ignore[reportPrivateUsage]
            assert await health_of(server.address) == "SERVING"
            (event,) = events_of(caplog)
    assert (event["event"], event["commands"]) == ("store.limited", ["XADD"])
    assert event["advice"] == "ACL SETUSER … +xadd"


async def test_a_node_that_does_not_answer(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another node refuses is found nevertheless; without a refusal, nobody can tell."""
    refusals = Client.refusals
    answers: list[dict[str, str] | errors.StoreError] = [
        errors.unavailable(),
        {"XADD": "NOPERM"},
    ]

    async def some(client: Client, key: str) -> dict[str, str]:
        answer = answers.pop() if answers else await refusals(client, key)
        if isinstance(answer, errors.StoreError):
            raise answer
        return answer

    monkeypatch.setattr(Client, "refusals", some)
    storage = storage_of(settings)
    assert await storage.inspection.refusals() == {"XADD": "NOPERM"}
    answers.append(errors.unavailable())
    with pytest.raises(errors.StoreError):
        await storage.inspection.refusals()
    assert await storage.inspection.refusals() == {}
    await storage.close()

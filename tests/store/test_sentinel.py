"""The store on the master that real Sentinels report, and the options of a Sentinel URL."""

import signal
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from pydantic import SecretStr
from relevo_server.server import Server
from relevo_server.settings import Settings
from relevo_server.storage import open_storage
from relevo_server.storage.redis.sentinel import Service
from support.clients.calls import (
    Stub,
    context,
    get,
    invalidate,
    invalidate_tenant,
    is_alive,
    key,
    put,
)
from support.clients.watching import Watch
from support.failures import failure_of
from support.redis.process import RedisProcess
from support.redis.sentinel import SERVICE, RedisSentinels
from support.redis.users import PASSWORD, SENTINEL_LINE, User
from support.servers.process import relevo_serve
from support.servers.serving import health_of, serving
from support.waiting import until, until_async


@pytest.fixture(scope="module")
def sentinels() -> Iterator[RedisSentinels]:
    """A master, replicas and Sentinels that no test breaks."""
    with RedisSentinels(silence=60) as sentinels:
        yield sentinels


@pytest.fixture
def settings(sentinels: RedisSentinels) -> Settings:
    """Settings of a server that finds its master through the Sentinels."""
    return settings_for(sentinels.url)


def settings_for(url: str) -> Settings:
    """Settings of a server with its own store."""
    prefix = f"test-{uuid.uuid4().hex}"
    return Settings(listen="127.0.0.1:0", store=SecretStr(url), store_prefix=prefix, grace=0.5)


async def test_every_call(stub: Stub, sentinels: RedisSentinels, settings: Settings) -> None:
    """Put, Get, Invalidate and Watch work, and the master holds the entries."""
    agent = key("a1", scope="agent_config")
    await put(stub, agent, context(llm_config={"model": "m1"}), if_absent=True)
    first = await put(stub, key(), context(includes=[agent]), request_id="r")
    assert (await put(stub, key(), context(includes=[agent]), request_id="r")) == first
    answer = await get(stub, key(), include_layers=True)
    assert [layer.key for layer in answer.layers] == [agent]
    async with Watch(stub) as watch:
        assert (await watch.answer(watch.subscribe(key()))).entry.version == first.revision
        second = await put(stub, key(), context(user_id="u"), if_version=first.revision)
        assert (await watch.news()).entry.version == second.revision
        ended = await invalidate(stub, key())
        assert (await watch.news()).invalidated.revision == ended.revision
    assert not await is_alive(stub, key())
    await invalidate_tenant(stub, "acme")
    assert not await is_alive(stub, agent)
    with sentinels.master().client() as client:
        assert any(name.endswith(":log") for name in client.names(settings.store_prefix))


async def test_health(server: Server) -> None:
    """A server whose Sentinels report a master is SERVING."""

    async def is_serving() -> bool:
        return await health_of(server.address) == "SERVING"

    await until_async(is_serving)


async def test_a_sentinel_that_is_not_there(sentinels: RedisSentinels) -> None:
    """One Sentinel that answers is enough, whichever it is."""
    nobody = sentinels.url.replace("://", "://127.0.0.1:1,")
    async with serving(settings_for(nobody)) as stub:
        assert (await put(stub, key())).revision


async def test_a_sentinel_that_is_silent(sentinels: RedisSentinels) -> None:
    """A Sentinel that accepts connections and never answers delays nobody."""
    with RedisProcess() as silent:
        silent.signal(signal.SIGSTOP)
        url = sentinels.url.replace("://", f"://127.0.0.1:{silent.port},")
        # A caller that waited for this Sentinel would wait this long.
        settings = settings_for(url).model_copy(update={"store_timeout": 30.0})
        begin = time.monotonic()
        async with serving(settings) as stub:
            await put(stub, key())
            assert time.monotonic() - begin < 20


def test_a_service_that_is_not_known(sentinels: RedisSentinels) -> None:
    """For an unknown service, calls are UNAVAILABLE, and the log has each Sentinel's error."""
    with relevo_serve("--store", f"{sentinels.url}-of-others") as server:
        assert server.events("store.lost")
        until(lambda: len(server.events("sentinel.lost")) == len(sentinels.sentinels))
        assert "No such master" in server.events("sentinel.lost")[0]["cause"]


async def test_a_server_that_is_no_master(sentinels: RedisSentinels) -> None:
    """A server that reports itself as a replica is not used, whatever a Sentinel reports."""
    replica = next(each for each in sentinels.servers if each is not sentinels.master())
    watch = f"sentinel monitor {SERVICE} 127.0.0.1 {replica.port} 1"
    with RedisProcess("--sentinel", config=watch) as wrong:
        url = f"redis+sentinel://127.0.0.1:{wrong.port}/{SERVICE}"
        async with serving(settings_for(url)) as stub:
            failure = await failure_of(put(stub, key()))
            assert failure.reason == "STORE_UNAVAILABLE"
        with replica.client() as client:
            assert client("INFO", "commandstats").get("cmdstat_role")
            assert "cmdstat_evalsha" not in client("INFO", "commandstats")


def test_a_sentinel_with_a_password(sentinels: RedisSentinels) -> None:
    """`sentinel_password` is sent to the Sentinels, and never logged."""
    watch = f"sentinel monitor {SERVICE} 127.0.0.1 {sentinels.master().port} 1"
    with RedisProcess("--sentinel", "--requirepass", "s3cret", config=watch) as guarded:
        url = f"redis+sentinel://127.0.0.1:{guarded.port}/{SERVICE}"
        with relevo_serve("--store", f"{url}?sentinel_password=s3cret") as server:
            assert not server.events("store.lost")
            assert server.events("store.master")
        with relevo_serve("--store", url) as server:
            until(lambda: server.events("sentinel.lost"))
            assert "Authentication" in server.events("sentinel.lost")[0]["cause"]
        with relevo_serve("--store", f"{url}?sentinel_password=s3cret-not") as server:
            until(lambda: server.events("sentinel.lost"))
            assert "s3cret" not in "".join(server.lines)


@pytest.mark.parametrize("missing", ["", "role", "sentinel|master"])
async def test_users_with_the_rights_of_the_page(sentinels: RedisSentinels, missing: str) -> None:
    """The users of docs/operations.md suffice for Redis and Sentinels, and need each right."""
    settings = settings_for(sentinels.url)
    prefix = settings.store_prefix
    with ExitStack() as stack:
        servers = [stack.enter_context(each.client()) for each in sentinels.servers]
        watchers = [stack.enter_context(each.client()) for each in sentinels.sentinels]
        user = stack.enter_context(User(servers, prefix, "+role"))
        watcher = stack.enter_context(User(watchers, prefix, line=SENTINEL_LINE))
        if missing:
            (user if missing == "role" else watcher).take(missing)
        options = f"sentinel_username={watcher.name}&sentinel_password={PASSWORD}"
        store = SecretStr(f"{user.url(sentinels.url)}/0?{options}")
        async with Server(settings.model_copy(update={"store": store})) as server:
            expected = "NOT_SERVING" if missing else "SERVING"
            assert await health_of(server.address) == expected


def test_what_a_url_says() -> None:
    """Each part of the URL goes to Sentinels or servers; both share the TLS options."""
    found = Service.parse(
        "rediss+sentinel://u:p%40@one,two:7,[::1]:8/my%20master/3"
        "?ssl_ca_certs=/ca.pem&sentinel_username=s&sentinel_password=q%2F"
    )
    assert found.name == "my master"
    assert found.server == "rediss://u:p%40@localhost/3?ssl_ca_certs=%2Fca.pem"
    assert found.sentinels == {
        address: f"rediss://s:q%2F@{address}?ssl_ca_certs=%2Fca.pem"
        for address in ("one:26379", "two:7", "[::1]:8")
    }


@pytest.mark.parametrize(
    "url, problem",
    [
        pytest.param("redis+sentinel://:s3cret@h:1", "name the service", id="no service"),
        pytest.param("redis+sentinel://:s3cret@h:1//0", "name the service", id="empty service"),
        pytest.param("redis+sentinel://:s3cret@/m", "addresses of the Sentinels", id="no host"),
        pytest.param("redis+sentinel://:s3cret@h:1,/m", "addresses of the Sent", id="empty host"),
        pytest.param("redis+sentinel://:s3cret@h:1,i:x/m", "addresses", id="bad port"),
        pytest.param("redis+sentinel://:s3c/ret@h:1/m", "must be a number", id="raw slash"),
        pytest.param("redis+sentinel://:s3cret@h:1/m/one", "must be a number", id="database"),
        pytest.param("redis+sentinel://:s3cret@h:1/m?socket_timeout=x", "not a URL", id="option"),
        pytest.param("rediss+sentinel://:s3cret@h/m?ssl_ca_certs=/no", "TLS files", id="CA"),
    ],
)
def test_a_malformed_url(url: str, problem: str) -> None:
    """The error names the problem, and never quotes the URL, which may have a password."""
    with pytest.raises(ValueError, match=problem) as caught:
        open_storage(url, partitions=1)
    assert "s3c" not in str(caught.value)

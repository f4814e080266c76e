"""`rediss://`: the certificates that the server trusts, and its log if it does not trust one.

The Redis of the tests may be built without TLS: a proxy of the tests terminates TLS in front of a
real Redis.
"""

import asyncio
import ssl
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from pydantic import SecretStr
from relevo_server.errors import StoreError
from relevo_server.settings import Settings
from relevo_server.storage import open_storage
from support.clients.calls import context, get, invalidate, is_alive, key, put
from support.clients.watching import Watch
from support.failures import failure_of
from support.network.certificates import Pair, authority, self_signed, signed_by
from support.network.proxy import Proxy
from support.redis.process import RedisProcess
from support.servers.process import relevo_serve
from support.servers.serving import serving, stub_of


@pytest.fixture(scope="module")
def stranger(folder: Path) -> Pair:
    """An authority that no server trusts."""
    return authority(folder, "stranger")


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisProcess]:
    """A Redis for this module."""
    with RedisProcess() as process:
        yield process


@pytest.fixture
def context_of_redis(folder: Path, signer: Pair) -> ssl.SSLContext:
    """Redis presents a certificate that the authority has signed."""
    own = signed_by(signer, folder, "redis")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(own.certificate, own.key)
    return tls


@pytest.fixture
def secure(redis: RedisProcess, context_of_redis: ssl.SSLContext) -> Iterator[Proxy]:
    """The TLS port of Redis."""
    with Proxy(redis.port, tls=context_of_redis) as proxy:
        yield proxy


@pytest.fixture
def mutual(redis: RedisProcess, context_of_redis: ssl.SSLContext, signer: Pair) -> Iterator[Proxy]:
    """The TLS port of Redis that requires a client certificate of the authority."""
    context_of_redis.verify_mode = ssl.CERT_REQUIRED
    context_of_redis.load_verify_locations(signer.certificate)
    with Proxy(redis.port, tls=context_of_redis) as proxy:
        yield proxy


def url_of(proxy: Proxy, *, at: str = "127.0.0.1", **options: Path) -> str:
    """A URL with options, named as in redis-py."""
    return f"rediss://{at}:{proxy.port}/1?{urlencode(options)}"


def settings_for(url: str) -> Settings:
    """Settings of a server on this store."""
    return Settings(listen="127.0.0.1:0", store=SecretStr(url), grace=0.5)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_every_call(secure: Proxy, signer: Pair, host: str) -> None:
    """With the authority in `ssl_ca_certs`, Put, Get, Invalidate and Watch work over TLS."""
    settings = settings_for(url_of(secure, at=host, ssl_ca_certs=signer.certificate))
    async with serving(settings) as stub, Watch(stub) as watch:
        first = await put(stub, key(), context(user_id="u"))
        assert (await get(stub, key())).entry.version == first.revision
        assert (await watch.answer(watch.subscribe(key()))).entry.version == first.revision
        second = await put(stub, key(), context(user_id="v" * 100_000))
        assert (await watch.news()).invalidated.is_changed
        assert (await get(stub, key())).entry.version == second.revision
        ended = await invalidate(stub, key())
        assert (await watch.news()).invalidated.revision == ended.revision
        assert not await is_alive(stub, key())


async def test_a_connection_that_was_closed(secure: Proxy, signer: Pair) -> None:
    """A connection that was closed while idle is replaced, as without TLS."""
    settings = settings_for(url_of(secure, ssl_ca_certs=signer.certificate))
    async with serving(settings) as stub:
        await put(stub, key())
        secure.cut()
        before = secure.accepted
        assert await is_alive(stub, key())
        assert secure.accepted > before


async def test_a_client_certificate(
    mutual: Proxy, signer: Pair, stranger: Pair, folder: Path
) -> None:
    """`ssl_certfile` and `ssl_keyfile` are presented; without them, or with others, UNAVAILABLE."""
    good, bad = signed_by(signer, folder, "good"), signed_by(stranger, folder, "bad")
    own = url_of(
        mutual,
        ssl_ca_certs=signer.certificate,
        ssl_certfile=good.certificate,
        ssl_keyfile=good.key,
    )
    async with serving(settings_for(own)) as stub:
        assert (await put(stub, key())).revision
    other = url_of(
        mutual,
        ssl_ca_certs=signer.certificate,
        ssl_certfile=bad.certificate,
        ssl_keyfile=bad.key,
    )
    for url in (url_of(mutual, ssl_ca_certs=signer.certificate), other):
        async with serving(settings_for(url)) as stub:
            assert (await failure_of(put(stub, key()))).reason == "STORE_UNAVAILABLE"


async def refused(url: str, cause: str) -> None:
    """Check that calls are UNAVAILABLE, and that the log has the reason."""
    with relevo_serve("--store", url) as server:
        async with stub_of(server.address) as stub:
            assert (await failure_of(put(stub, key()))).reason == "STORE_UNAVAILABLE"
        assert cause in server.events("store.lost")[0]["cause"]


async def test_an_authority_that_is_not_trusted(secure: Proxy, stranger: Pair) -> None:
    """A certificate that another authority has signed is refused."""
    await refused(url_of(secure, ssl_ca_certs=stranger.certificate), "CERTIFICATE_VERIFY_FAILED")


async def test_no_authority(secure: Proxy) -> None:
    """Without `ssl_ca_certs`, only the system's authorities are trusted."""
    await refused(url_of(secure), "CERTIFICATE_VERIFY_FAILED")


async def test_a_certificate_of_another_host(redis: RedisProcess, folder: Path) -> None:
    """A trusted certificate that names another host is refused."""
    elsewhere = self_signed(folder, "elsewhere", is_here=False)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(elsewhere.certificate, elsewhere.key)
    with Proxy(redis.port, tls=tls) as proxy:
        await refused(url_of(proxy, ssl_ca_certs=elsewhere.certificate), "IP address mismatch")


async def test_a_redis_without_tls(redis: RedisProcess, signer: Pair) -> None:
    """The server never falls back to a connection without TLS."""
    url = f"rediss://127.0.0.1:{redis.port}?ssl_ca_certs={signer.certificate}"
    settings = Settings(listen="127.0.0.1:0", store=SecretStr(url), store_timeout=0.3)
    async with serving(settings) as stub:
        assert (await failure_of(put(stub, key()))).reason == "STORE_UNAVAILABLE"


@pytest.mark.parametrize("option", ["ssl_ca_certs", "ssl_certfile"])
def test_files_that_cannot_be_used(tmp_path: Path, option: str) -> None:
    """A file that is missing, or not PEM, is a wrong setting, reported before any connection."""
    garbage = tmp_path / "garbage.pem"
    garbage.write_text("this is not PEM")
    for file in (garbage, tmp_path / "none.pem"):
        with pytest.raises(ValueError, match="TLS files") as caught:
            open_storage(f"rediss://:s3cret@127.0.0.1?{option}={file}", partitions=1)
        assert "s3cret" not in str(caught.value)


def test_tls_towards_a_redis_without_it(redis: RedisProcess) -> None:
    """`rediss://` to a Redis that does not speak TLS: the log says so."""
    flags = ("--store", f"rediss://127.0.0.1:{redis.port}", "--store-timeout", "0.5")
    with relevo_serve(*flags) as server:
        assert "does not speak TLS" in server.events("store.lost")[0]["cause"]


def test_a_redis_with_tls_spoken_to_without(secure: Proxy) -> None:
    """`redis://` to a port that speaks TLS: the log says so."""
    with relevo_serve("--store", f"redis://127.0.0.1:{secure.port}") as server:
        (lost,) = server.events("store.lost")
        assert "speaks TLS" in lost["cause"]
        assert "Traceback" not in "".join(server.lines)


async def test_a_port_that_answers_with_an_alert() -> None:
    """An answer that is a TLS alert, or not Redis's protocol, is named as that."""
    for answer, cause in ((b"\x15\x03\x01\x00\x02\x02\x46", "speaks TLS"), (b"HTTP", "no Redis")):

        async def serve(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: bytes = answer
        ) -> None:
            await reader.read(1)
            writer.write(answer)
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as other:
            storage = open_storage(
                f"redis://127.0.0.1:{other.sockets[0].getsockname()[1]}", partitions=1
            )
            with pytest.raises(StoreError) as caught:
                await storage.check()
            await storage.close()
        assert cause in str(caught.value.__cause__)

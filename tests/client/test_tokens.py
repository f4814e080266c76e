"""Tokens of a client from a function or a file: when they are read, and where they may go."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import aio
from relevo_client import (
    AsyncContextClient,
    CacheOptions,
    ContextClient,
    ExecutionContext,
    InvalidFieldError,
    UnavailableError,
)
from relevo_client._store import bearer
from relevo_server.server import Server
from relevo_server.settings import Settings
from support.clients.access import principal
from support.clients.either import KEY, KINDS, opened
from support.servers.relay import Relay
from support.servers.shapes import Kind

OLD, NEW, WRONG = "token-old", "token-new", "token-wrong"

each_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture
async def guarded() -> AsyncIterator[Server]:
    """A server that knows two tokens."""
    principals = tuple(principal(token, "acme") for token in (OLD, NEW))
    async with Server(Settings(listen="127.0.0.1:0", principals=principals)) as server:
        yield server


@pytest.fixture
async def relay(guarded: Server) -> AsyncIterator[Relay]:
    """A relay that records what is sent to it."""
    async with Relay(guarded.address) as relay:
        yield relay


def sent(relay: Relay) -> list[str]:
    """The tokens that were sent so far."""
    return [
        str(value).removeprefix("Bearer ")
        for call in relay.calls
        for name, value in call.metadata
        if name == "authorization"
    ]


class Tokens:
    """A function that returns these tokens, the last one again and again."""

    def __init__(self, *tokens: str) -> None:
        self._tokens = list(tokens)
        self.calls = 0
        self.threads: set[int] = set()

    def __call__(self) -> str:
        """The next token."""
        self.calls += 1
        self.threads.add(threading.get_ident())
        return self._tokens.pop(0) if len(self._tokens) > 1 else self._tokens[0]


def put(client: Any) -> Any:
    """A call that needs a token."""
    return client.put(KEY, ExecutionContext(user_id="u"))


@each_kind
async def test_a_function_is_called_once_for_many_calls(relay: Relay, kind: Kind) -> None:
    """Concurrent and later calls share the token of one call of the function."""
    tokens = Tokens(NEW, WRONG)
    async with opened(kind, relay.address, token=tokens, cache=None) as client:
        await asyncio.gather(*(client.ask(put) for _ in range(8)))
        await client.ask(put)
    assert tokens.calls == 1
    assert sent(relay) == [NEW] * 9


async def test_a_plain_function_may_block(relay: Relay) -> None:
    """On an event loop, a plain function runs in a thread: other tasks go on meanwhile."""
    called, answer = threading.Event(), threading.Event()

    def token() -> str:
        called.set()
        assert answer.wait(10)
        return NEW

    async with AsyncContextClient(relay.address, token=token, timeout=10) as client:
        call = asyncio.create_task(client.put(KEY, ExecutionContext()))
        assert await asyncio.to_thread(called.wait, 10)
        answer.set()
        await call


async def test_a_coroutine_function(relay: Relay) -> None:
    """A coroutine function is awaited in the caller's loop."""
    loops: list[asyncio.AbstractEventLoop] = []

    async def token() -> str:
        loops.append(asyncio.get_running_loop())
        return NEW

    async with AsyncContextClient(relay.address, token=token) as client:
        await put(client)
    assert loops == [asyncio.get_running_loop()]
    assert sent(relay) == [NEW]


def test_threads_await_nothing() -> None:
    """A blocking client refuses a coroutine function."""

    async def token() -> str:
        return NEW

    function: Any = token
    with pytest.raises(TypeError, match="token must be a plain function"):
        ContextClient("127.0.0.1:1", token=function)


@each_kind
async def test_an_unknown_token_is_replaced_once(relay: Relay, kind: Kind) -> None:
    """A call whose token the store does not know is repeated with a fresh token, even a write."""
    tokens = Tokens(WRONG, NEW)
    async with opened(kind, relay.address, token=tokens, cache=None) as client:
        await client.ask(put)
        await client.ask(put)
    assert sent(relay) == [WRONG, NEW, NEW]
    assert tokens.calls == 2


@each_kind
async def test_a_fresh_token_that_is_unknown_too(
    relay: Relay, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the fresh token is refused too, the call fails, and the function has rest for a while."""
    monkeypatch.setattr(bearer, "PATIENCE", 1000.0)  # however slow the machine is
    tokens = Tokens(WRONG)
    async with opened(kind, relay.address, token=tokens, cache=None) as client:
        errors = [await client.raised(put) for _ in range(3)]
    assert {error.reason for error in errors} == {"UNAUTHENTICATED"}
    assert sent(relay) == [WRONG] * 4
    assert tokens.calls == 2


@each_kind
async def test_a_right_that_is_missing_is_no_unknown_token(relay: Relay, kind: Kind) -> None:
    """A tenant that the token does not open is refused at once."""
    tokens = Tokens(NEW)
    async with opened(kind, relay.address, token=tokens, cache=None) as client:
        error = await client.raised(lambda c: c.invalidate_tenant("globex"))
    assert error.reason == "TENANT_DENIED"
    assert (tokens.calls, sent(relay)) == (1, [NEW])


@each_kind
async def test_a_function_that_fails(
    relay: Relay, kind: Kind, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a token, a call is UNAVAILABLE and nothing is sent; the log has no text of it."""

    def token() -> str:
        raise ValueError("secret")

    async with opened(kind, relay.address, token=token) as client:
        error = await client.raised(put)
    assert isinstance(error, UnavailableError)
    assert (error.reason, error.retry_after) == ("TOKEN_UNAVAILABLE", 0.5)
    assert relay.calls == []
    assert "the token cannot be read: ValueError in token (" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize("token", ["", "two\nlines", "größe", b"bytes", None])
@each_kind
async def test_what_is_no_token(relay: Relay, kind: Kind, token: Any) -> None:
    """What a function returns must be a token that a header can hold."""
    async with opened(kind, relay.address, token=lambda: token) as client:
        error = await client.raised(put)
    assert error.reason == "TOKEN_UNAVAILABLE"
    assert relay.calls == []


async def test_a_function_that_takes_too_long(relay: Relay) -> None:
    """The time of the function is a part of the call's."""

    async def token() -> str:
        await asyncio.Event().wait()
        return NEW

    async with AsyncContextClient(relay.address, token=token, timeout=0.1) as client:
        with pytest.raises(UnavailableError) as caught:
            await put(client)
    assert caught.value.reason == "DEADLINE_EXCEEDED"


def swapped(link: Path, token: str) -> None:
    """Point a link at a folder with another token, in one step, as Kubernetes does."""
    folder = link.parent / f"of-{token}"
    folder.mkdir()
    (folder / "token").write_text(f"{token}\n")
    fresh = link.with_name("fresh")
    fresh.symlink_to(folder)
    fresh.replace(link)


@each_kind
async def test_a_file_that_is_swapped(relay: Relay, kind: Kind, tmp_path: Path) -> None:
    """A token's file is read again, through links: at once for a token that is refused."""
    link = tmp_path / "data"
    swapped(link, WRONG)
    async with opened(kind, relay.address, token_file=link / "token", cache=None) as client:
        swapped(link, NEW)
        await client.ask(put)
        await client.ask(put)
    assert sent(relay)[-2:] == [NEW, NEW]
    assert len(relay.calls) <= 3


@each_kind
async def test_a_file_that_is_gone(relay: Relay, kind: Kind, tmp_path: Path) -> None:
    """If the file is gone, the last token is used on until the store refuses it."""
    file = tmp_path / "token"
    file.write_text(NEW)
    async with opened(kind, relay.address, token_file=str(file), cache=None) as client:
        file.unlink()
        await client.ask(put)
    file.write_text(WRONG)
    async with opened(kind, relay.address, token_file=str(file), cache=None) as client:
        file.unlink()
        error = await client.raised(put)
    assert error.reason == "TOKEN_UNAVAILABLE"


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff", b"a b\nc"])
@pytest.mark.parametrize("kind", [ContextClient, AsyncContextClient])
def test_a_file_without_a_token(kind: Any, tmp_path: Path, content: bytes | None) -> None:
    """A file that is missing, or has no token, is refused when the client is made."""
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InvalidFieldError) as caught:
        kind("127.0.0.1:1", token_file=file)
    assert caught.value.violations[0][0] == "token_file"


@each_kind
async def test_the_stream_has_the_token_too(guarded: Server, kind: Kind) -> None:
    """The near cache's stream carries a token of the function."""
    tokens = Tokens(NEW)
    async with opened(kind, guarded.address, token=tokens, timeout=10) as client:
        await client.ask(put)
        await client.ask(lambda c: c.resolve(KEY))
        assert (await client.local(KEY)).context.user_id == "u"
    assert tokens.calls == 2


@each_kind
async def test_a_stream_begins_with_a_fresh_token(guarded: Server, kind: Kind) -> None:
    """A stream whose token is refused is opened again with a fresh one."""
    tokens = Tokens(NEW, WRONG, NEW)  # for the Put, and for two streams
    options = {"token": tokens, "timeout": 10, "cache": CacheOptions(max_staleness=1)}
    async with opened(kind, guarded.address, **options) as client:
        await client.ask(put)
        await client.ask(lambda c: c.get(KEY))
        await client.local(KEY)
    assert tokens.calls >= 3


SECRET = {"token": NEW}
REFUSED = [
    "store:7390",
    "10.0.0.1:7390",
    "0.0.0.0:7390",
    "[2001:db8::1]:7390",
    "dns:///store.internal:7390",
    "dns://127.0.0.1/store.internal:7390",
    "ipv4:127.0.0.1:7390,10.0.0.1:7390",
    "ipv6:[2001:db8::1]:7390",
    "127.0.0.1.example.com:7390",
    "localhost.example.com:7390",
    "xds:///store",
]
ACCEPTED = [
    "127.0.0.1:7390",
    "127.9.9.9:7390",
    "localhost:7390",
    "LOCALHOST:7390",
    "[::1]:7390",
    "dns:///localhost:7390",
    "dns:127.0.0.1:7390",
    "dns://10.0.0.1/localhost:7390",
    "ipv4:127.0.0.1:7390,127.0.0.2:7390",
    "ipv6:[::1]:7390",
    "unix:/run/relevo.sock",
    "unix:///run/relevo.sock",
    "unix-abstract:relevo",
]

each_secret = pytest.mark.parametrize("secret", ["token", "token_file", "function"])


@pytest.fixture
def secrets(tmp_path: Path) -> Callable[[str], dict[str, Any]]:
    """A token in each of its forms."""
    file = tmp_path / "token"
    file.write_text(NEW)
    forms: dict[str, dict[str, Any]] = {
        "token": {"token": NEW},
        "token_file": {"token_file": file},
        "function": {"token": lambda: NEW},
    }
    return forms.__getitem__


@each_secret
@pytest.mark.parametrize("target", REFUSED)
def test_no_token_without_tls_beyond_this_host(
    secrets: Callable[[str], dict[str, Any]], target: str, secret: str
) -> None:
    """A token for another host over a channel without TLS is refused when the client is made."""
    with pytest.raises(ValueError, match="must not travel unencrypted beyond this host"):
        AsyncContextClient(target, **secrets(secret))


@pytest.mark.parametrize("target", ACCEPTED)
def test_a_token_on_this_host(target: str) -> None:
    """Loopback addresses, `localhost` and UNIX sockets need no TLS."""
    AsyncContextClient(target, token=NEW)


@pytest.mark.parametrize("kind", [ContextClient, AsyncContextClient])
def test_who_says_so_may(kind: Any) -> None:
    """With `insecure_token`, with TLS or without a token, any target is accepted."""
    kind("store:7390")
    kind("store:7390", token="")
    kind("store:7390", token=NEW, insecure_token=True)
    kind("store:7390", token=NEW, credentials=grpc.ssl_channel_credentials())
    with pytest.raises(ValueError, match="must not travel unencrypted"):
        kind("store:7390", token=NEW)


async def test_a_channel_of_ones_own_is_its_makers_business() -> None:
    """Where a channel leads is not known: it takes a token."""
    async with aio.insecure_channel("store:7390") as channel:
        AsyncContextClient(channel=channel, token=NEW)


def test_one_token_only(tmp_path: Path) -> None:
    """A token and a file with another one exclude each other."""
    with pytest.raises(ValueError, match="either a token or a token_file"):
        AsyncContextClient("127.0.0.1:1", token=NEW, token_file=tmp_path / "token")

"""`resolve(begin=)`: a conversation is there or created, in one call to the store or two."""

from typing import Any

import pytest
from relevo_client import (
    AccessDeniedError,
    ContextRef,
    ContextSource,
    ExecutionContext,
    IncompleteContextError,
    NotFoundError,
)
from relevo_server.server import Server
from relevo_server.settings import Settings
from relevo_server.wire import requests
from support.clients.access import principal
from support.clients.either import KEY, Either, opened
from support.clients.turning import AGENT, Sent, factory_for, write
from support.servers.shapes import Kind

NEW = ExecutionContext(user_id="new", llm_config={"top_p": 1}, includes=(AGENT,))


async def resolved(client: Either, begin: Any, target: Any = KEY) -> Any:
    """The entry that is resolved or begun."""
    return await client.ask(lambda c: c.resolve(target, begin=begin))


async def test_a_new_one_takes_two_calls(
    client: Either, other: Either, kind: Kind, sent: Sent
) -> None:
    """It is leased and put, and composed of what the Put brings along."""
    await other.ask(lambda c: c.put(AGENT, ExecutionContext(llm_config={"model": "m"})))
    sent.clear()
    entry = await resolved(client, factory_for(kind, NEW))
    assert sent.calls == ["lease", "put"]
    assert (entry.context.user_id, entry.context.llm_config) == ("new", {"model": "m", "top_p": 1})
    assert (entry.source, entry.version) == (ContextSource.LOADER, entry.revision)
    again = await other.ask(lambda c: c.resolve(entry.ref))
    assert again.context == entry.context


async def test_an_existing_one_takes_one_call(client: Either, kind: Kind, sent: Sent) -> None:
    """The Lease brings it along with its layers; the factory is not called."""
    await write(client)
    sent.clear()
    entry = await resolved(client, _never(kind))
    assert sent.calls == ["lease"]
    assert entry.context.llm_config == {"model": "old", "top_p": 2}
    assert entry.source is ContextSource.STORE
    read = await client.ask(lambda c: c.resolve(KEY, fresh=True))
    assert (entry.ref, entry.version, entry.context) == (read.ref, read.version, read.context)


async def test_a_cached_one_takes_no_call(client: Either, kind: Kind, sent: Sent) -> None:
    """With the entry in the cache, nothing is sent."""
    await write(client)
    await client.ask(lambda c: c.resolve(KEY))
    await client.local(KEY)
    sent.clear()
    assert (await resolved(client, _never(kind))).context.user_id == "u"
    assert not sent.calls


async def test_it_is_as_new_as_its_fence(client: Either, other: Either, kind: Kind) -> None:
    """For a reference the entry is as of its revision or later."""
    await write(client)
    changed = await other.ask(lambda c: c.update(AGENT, {"llm_config": {"model": "new"}}))
    entry = await resolved(client, _never(kind), ContextRef(KEY, changed.revision))
    assert entry.context.llm_config["model"] == "new"
    assert entry.revision >= changed.revision


async def test_missing_layers_are_loaded(server: Server, kind: Kind, sent: Sent) -> None:
    """A loader makes what the new entry includes; without one, the missing layer is named."""
    load = factory_for(kind, ExecutionContext(llm_config={"model": "loaded"}))
    async with opened(kind, server.address, timeout=10) as client:
        raised = await client.raised(lambda c: c.resolve(KEY, begin=factory_for(kind, NEW)))
        assert isinstance(raised, IncompleteContextError)
        assert raised.missing == (AGENT.text,)
    async with opened(kind, server.address, timeout=10, loaders={AGENT.scope: load}) as client:
        sent.clear()
        entry = await resolved(client, _never(kind))
    assert entry.context.llm_config == {"model": "loaded", "top_p": 1}
    assert sent.calls == ["lease", "lease", "put", "lease"]


async def test_what_the_factory_raises(client: Either, kind: Kind, sent: Sent) -> None:
    """An exception of the factory is the caller's: also that there is no such agent."""
    error = NotFoundError("no such agent", reason="NOT_FOUND")
    assert await client.raised(lambda c: c.resolve(KEY, begin=_raising(kind, error))) is error
    assert sent.calls[:1] == ["lease"]


async def test_a_snapshot_is_never_begun(client: Either, kind: Kind, sent: Sent) -> None:
    """A snapshot that does not exist is not created: it may be on its way."""
    await write(client)
    entry = await client.ask(lambda c: c.resolve(KEY))
    sent.clear()
    raised = await client.raised(lambda c: c.resolve(entry.snapshot_key, begin=_never(kind)))
    assert isinstance(raised, NotFoundError)
    assert set(sent.calls) == {"get"}


@pytest.fixture
def older(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server of before `include_layers`, to which the field is unknown."""
    for name in ("read_lease", "read_put"):
        read = getattr(requests, name)

        def older(*args: Any, _read: Any = read, **options: Any) -> Any:
            return _read(*args, **options)._replace(current=None)

        monkeypatch.setattr(requests, name, older)


@pytest.mark.usefixtures("older")
async def test_an_older_store(server: Server, kind: Kind, sent: Sent) -> None:
    """A store that brings nothing along is asked for the composed entry."""
    async with opened(kind, server.address, timeout=10, cache=None) as client:
        await client.ask(lambda c: c.put(AGENT, ExecutionContext(llm_config={"model": "m"})))
        sent.clear()
        entry = await resolved(client, factory_for(kind, NEW))
        assert sent.calls == ["lease", "put", "get"]
        assert entry.context.llm_config == {"model": "m", "top_p": 1}
        sent.clear()
        assert (await resolved(client, _never(kind))).context == entry.context
        assert sent.calls == ["lease", "get"]
        sent.clear()
        made = await client.ask(lambda c: c.get_or_create(AGENT, _never(kind)))
        assert made.context.llm_config == {"model": "m"}
        assert sent.calls == ["lease"] or kind == "blocking"


async def test_who_may_only_read(settings: Settings, kind: Kind) -> None:
    """Who may not create the entry gets an existing one; a missing one is the lack of a right."""
    reader = principal("reader", "acme", roles=("read",))
    guarded = settings.model_copy(update={"principals": (reader, principal("owner", "*"))})
    async with (
        Server(guarded) as server,
        opened(kind, server.address, timeout=10, token="owner") as owner,  # noqa: S106
        opened(kind, server.address, timeout=10, token="reader") as client,  # noqa: S106
    ):
        raised = await client.raised(lambda c: c.resolve(KEY, begin=_never(kind)))
        assert isinstance(raised, AccessDeniedError)
        await write(owner)
        assert (await resolved(client, _never(kind))).context.user_id == "u"


def _raising(kind: Kind, error: Exception) -> Any:
    async def aio_factory(_: Any) -> ExecutionContext:
        raise error

    def factory(_: Any) -> ExecutionContext:
        raise error

    return aio_factory if kind == "asyncio" else factory


def _never(kind: Kind) -> Any:
    return _raising(kind, AssertionError("the factory is called"))

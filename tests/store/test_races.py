"""Fifty concurrent writers. On Redis, half of them write through another server."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from itertools import cycle, islice
from urllib.parse import urlsplit

import pytest
from grpc import StatusCode, aio
from pydantic import SecretStr
from relevo_server.settings import Settings
from support.clients.calls import Stub, context, get, is_alive, key, masked, put
from support.failures import failure_of
from support.network.proxy import Proxy
from support.servers.serving import serving

WRITERS = 50


@pytest.fixture
async def writers(settings: Settings, store_url: str) -> AsyncIterator[list[Stub]]:
    """A stub for each writer."""
    async with AsyncExitStack() as stack:
        stubs = [await stack.enter_async_context(serving(settings))]
        if store_url != "memory://":
            # The delay to Redis varies, so that steps of different writers interleave.
            url = urlsplit(store_url)
            way = stack.enter_context(Proxy(url.port or 6379, host=url.hostname or "localhost"))
            way.to_server.delay = lambda: random.uniform(0, 0.005)  # noqa: S311
            user, at, _ = url.netloc.rpartition("@")
            there = url._replace(netloc=f"{user}{at}127.0.0.1:{way.port}").geturl()
            other = settings.model_copy(update={"store": SecretStr(there)})
            stubs.append(await stack.enter_async_context(serving(other)))
        stubs = list(islice(cycle(stubs), WRITERS))
        await asyncio.gather(*(is_alive(stub, key()) for stub in stubs))  # they are connected
        yield stubs


async def test_exactly_one_writer_wins_each_version(writers: list[Stub]) -> None:
    """Of fifty Puts with the same `if_version`, one succeeds; all others get the new version."""
    version = (await put(writers[0], key())).revision
    for _ in range(5):
        puts = [
            asyncio.create_task(put(stub, key(), context(user_id=str(i)), if_version=version))
            for i, stub in enumerate(writers)
        ]
        await asyncio.wait(puts)
        won = [i for i, each in enumerate(puts) if each.exception() is None]
        assert len(won) == 1
        entry = (await get(writers[0], key())).entry
        assert entry.context.user_id == str(won[0])
        assert entry.version == puts[won[0]].result().revision
        for i, each in enumerate(puts):
            if i != won[0]:
                lost = await failure_of(each)
                assert lost.reason == "VERSION_MISMATCH"
                assert lost.metadata["current_version"] == str(entry.version)
        version = entry.version


async def test_no_increment_is_lost(writers: list[Stub]) -> None:
    """Fifty writers that read, add one and retry with `if_version` add fifty in total."""
    await put(writers[0], key(), context(metadata={"count": 0}))
    replaced: Counter[int] = Counter()

    async def add_one(stub: Stub) -> None:
        while True:
            entry = (await get(stub, key())).entry
            entry.context.metadata["count"] += 1  # type: ignore[operator]
            try:
                await put(stub, key(), entry.context, if_version=entry.version)
            except aio.AioRpcError as error:
                assert error.code() is StatusCode.ABORTED  # noqa: PT017
            else:
                replaced[entry.version] += 1
                return

    await asyncio.gather(*map(add_one, writers))
    assert (await get(writers[0], key())).entry.context.metadata["count"] == WRITERS
    assert set(replaced.values()) == {1}


async def test_exactly_one_writer_creates(writers: list[Stub]) -> None:
    """Of fifty Puts with `if_absent`, one creates the entry; all others get its version."""
    puts = [
        asyncio.create_task(put(stub, key(), context(user_id=str(i)), if_absent=True))
        for i, stub in enumerate(writers)
    ]
    await asyncio.wait(puts)
    won = [each.result().revision for each in puts if each.exception() is None]
    lost = [await failure_of(each) for each in puts if each.exception()]
    assert len(won) == 1
    assert {failure.reason for failure in lost} == {"ENTRY_EXISTS"}
    assert {failure.metadata["current_version"] for failure in lost} == {str(won[0])}


async def test_no_masked_put_is_lost(writers: list[Stub]) -> None:
    """Fifty concurrent masked Puts to different keys of one section all take effect."""
    await put(writers[0], key(), context(llm_config={"model": "m1"}))
    await asyncio.gather(
        *(
            put(
                stub,
                key(),
                context(llm_config={f"k{i}": i}),
                update_mask=masked(f"llm_config.k{i}"),
            )
            for i, stub in enumerate(writers)
        )
    )
    section = (await get(writers[0], key())).entry.context.llm_config
    assert dict(section) == {"model": "m1", **{f"k{i}": i for i in range(WRITERS)}}


@pytest.mark.parametrize("condition", [{}, {"if_absent": True}], ids=["unconditional", "if_absent"])
async def test_one_request_is_one_write(writers: list[Stub], condition: dict[str, bool]) -> None:
    """Fifty concurrent copies of one Put write once, and get the same answer."""
    answers = await asyncio.gather(
        *(put(stub, key(), context(user_id="u"), request_id="r", **condition) for stub in writers)
    )
    assert len({answer.revision for answer in answers}) == 1
    assert (await get(writers[0], key())).revision == answers[0].revision


@pytest.mark.parametrize("conditional", [False, True], ids=["unconditional", "if_version"])
async def test_one_masked_request_is_one_write(writers: list[Stub], conditional: bool) -> None:
    """Fifty concurrent copies of one masked Put write once, though each reads the entry first."""
    version = (await put(writers[0], key())).revision
    condition = {"if_version": version} if conditional else {}
    answers = await asyncio.gather(
        *(
            put(
                stub,
                key(),
                context(user_id="u"),
                update_mask=masked("user_id"),
                request_id="r",
                **condition,
            )
            for stub in writers
        )
    )
    assert len({answer.revision for answer in answers}) == 1
    assert (await get(writers[0], key())).revision == answers[0].revision

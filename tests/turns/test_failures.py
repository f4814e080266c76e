"""Turns whose snapshot cannot be stored, whose store is away, old or signs; and closing."""

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from relevo_client import (
    CacheOptions,
    ContextEntry,
    ContextSource,
    UnavailableError,
)
from relevo_client._telemetry.counts import COUNTS
from relevo_server import errors
from relevo_server.server import Server
from relevo_server.service.store import ContextStore
from relevo_server.settings import Settings
from support.clients.either import KEY, Either, opened
from support.clients.turning import LARGE, Held, Sent, turn_of, write
from support.servers.shapes import Kind
from support.waiting import until_async


async def test_a_put_that_fails_is_told_and_tried_again(
    client: Either, entry: ContextEntry, held: Held, caplog: pytest.LogCaptureFixture
) -> None:
    """The turn goes on; its failure is counted, and logged once a minute; the next turn puts."""
    before = COUNTS.snapshots["store_full"]

    async def has_failed_often() -> bool:
        assert (await turn_of(client)).key == entry.snapshot_key
        return COUNTS.snapshots["store_full"] >= before + 3

    held.error = errors.store_full()
    with caplog.at_level(logging.WARNING, "relevo_client"):
        await until_async(has_failed_often)
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith(entry.snapshot_key.text)
    assert line.endswith("STORE_FULL")
    held.error = None

    async def is_stored() -> bool:
        return (await turn_of(client)).version > 0

    await until_async(is_stored)


async def test_what_cannot_travel_fails_with_its_put(client: Either, held: Held) -> None:
    """A turn that has to wait for the store raises what the store answers."""
    await write(client, agent_config=LARGE)
    await client.ask(lambda c: c.resolve(KEY))
    await client.local(KEY)
    held.error = errors.store_full()
    assert (await client.raised(lambda c: c.turn_entry(KEY))).reason == "STORE_FULL"


async def test_while_the_store_is_away(settings: Settings, port: int, kind: Kind) -> None:
    """With `last_known` turns go on with the last copy, marked as stale; without, they fail."""
    listening = settings.model_copy(update={"listen": f"127.0.0.1:{port}"})
    cache = CacheOptions(max_staleness=0.3)
    async with opened(kind, f"127.0.0.1:{port}", timeout=0.5, cache=cache) as client:
        async with Server(listening):
            await write(client)
            await client.ask(lambda c: c.resolve(KEY))
            entry = await client.local(KEY)
            first = await turn_of(client)
            await client.local(entry.snapshot_key)
        await until_async(lambda: client.peek(KEY) is None)
        stale = await turn_of(client, last_known=True)
        assert (stale.key, stale.is_stale) == (first.key, True)
        assert stale.source is ContextSource.LAST_KNOWN
        assert stale.context.llm_config == first.context.llm_config
        assert await client.ask(lambda c: c.turn_entry(c.last_known(KEY))) == stale
        assert isinstance(await client.raised(lambda c: c.turn_entry(KEY)), UnavailableError)
        nobody = replace(KEY, id="nobody")
        raised = await client.raised(lambda c: c.turn_entry(nobody, last_known=True))
        assert isinstance(raised, UnavailableError)
        # gRPC may never end a cancelled call on a blocking channel that cannot connect.
        async with Server(listening):
            await client.close()
        raised = await client.raised(lambda c: c.turn_entry(KEY, last_known=True))
        assert raised.reason == "CLIENT_CLOSED"


async def test_an_older_store(
    server: Server, kind: Kind, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store without Snapshot is asked for the entry; the snapshot is put meanwhile."""
    del server
    register = ContextStore.add_to

    def without(self: ContextStore, registry: Any) -> None:
        class Older:
            def add_registered_method_handlers(
                self, service_name: str, method_handlers: Mapping[str, Any]
            ) -> None:
                known = {**method_handlers}
                del known["Snapshot"]
                registry.add_registered_method_handlers(service_name, known)

        register(self, Older())

    monkeypatch.setattr(ContextStore, "add_to", without)
    async with (
        Server(Settings(listen="127.0.0.1:0", store=SecretStr("memory://"))) as older,
        opened(kind, older.address, timeout=10, cache=None) as client,
        opened(kind, older.address, timeout=10) as other,
    ):
        await write(client)
        sent.clear()
        taken = await turn_of(client)
        assert sent.calls[:2] == ["snapshot", "get"]
        assert taken.version == 0
        assert (await other.ask(lambda c: c.resolve(taken.ref))).key == taken.key
        await until_async(lambda: "put" in sent.calls)
        sent.clear()
        await turn_of(client)
        assert sent.calls == ["get"]


async def test_a_store_that_signs_is_waited_for(
    settings: Settings, kind: Kind, tmp_path: Path, sent: Sent
) -> None:
    """If the store signs references, a turn has a signed one: it waits for the first Put."""
    keys = tmp_path / "reference.keys"
    keys.write_text(f"a {'00' * 32}\n")
    keys.chmod(0o600)
    signing = settings.model_copy(update={"reference_keys": keys})
    async with Server(signing) as server, opened(kind, server.address, timeout=10) as client:
        await write(client)
        await client.ask(lambda c: c.resolve(KEY))
        await client.local(KEY)
        sent.clear()
        taken = await turn_of(client)
        assert taken.signature
        assert sent.calls == ["put"]
        assert (await turn_of(client)).signature
        assert sent.calls == ["put"]
        async with opened(kind, server.address, timeout=10) as other:
            assert (await turn_of(other)).signature
        assert sent.calls == ["put", "snapshot"]


async def test_closing_lets_a_snapshot_arrive(
    server: Server, kind: Kind, other: Either, held: Held
) -> None:
    """`close` waits for the Put of a turn that has just begun: its callees may need it."""
    async with opened(kind, server.address, timeout=10) as client:
        await write(client)
        await client.ask(lambda c: c.resolve(KEY))
        await client.local(KEY)
        held.may_go_on.clear()
        taken = await turn_of(client)
        await until_async(lambda: held.waiting)
        closing = asyncio.create_task(client.close())
        # The store has the Put, and answers it only then.
        await asyncio.wait({closing}, timeout=0.2)
        assert not closing.done()
        held.may_go_on.set()
        await closing
    assert (await other.ask(lambda c: c.get(taken.key))).key == taken.key


async def test_closing_does_not_wait_for_ever(
    server: Server, kind: Kind, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Put that takes longer than `close` waits is ended."""
    for module in ("aio_snapshots", "blocking_snapshots"):
        monkeypatch.setattr(f"relevo_client._client.{module}.CLOSING", 0.05)
    async with opened(kind, server.address, timeout=10) as client:
        await write(client)
        await client.ask(lambda c: c.resolve(KEY))
        await client.local(KEY)
        held.may_go_on.clear()
        await turn_of(client)
        await until_async(lambda: held.waiting)
        begun = time.monotonic()
        await client.close()
        assert time.monotonic() - begun < 5
    held.may_go_on.set()


async def test_a_snapshot_that_ends_soon_is_written_again(
    client: Either, entry: ContextEntry, sent: Sent
) -> None:
    """A stored snapshot with little time left is put again, so that the turn's callees find it."""
    await client.ask(lambda c: c.snapshot(entry, ttl=1))
    first = await client.local(entry.snapshot_key)
    sent.clear()

    async def is_longer() -> bool:
        await turn_of(client)
        found = await client.ask(lambda c: c.get(first.key))
        return bool(found.ttl.total_seconds() > 60)

    await until_async(is_longer)
    assert "put" in sent.calls

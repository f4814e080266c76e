"""The live parts over HTTP: changes as they happen, samples, and a store that goes and comes."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx
from relevo_client import ContextKey, ExecutionContext
from relevo_client.testing import LocalStore
from relevo_console.sessions import Sessions
from support.console import AGENT, Served, console_of, events_of, text_of
from support.waiting import until_async


@asynccontextmanager
async def events(
    http: httpx.AsyncClient, path: str, name: str
) -> AsyncGenerator[AsyncGenerator[str]]:
    """The words of each event of a stream."""
    async with http.stream("GET", path) as response:
        assert response.status_code == 200

        async def words() -> AsyncGenerator[str]:
            async for data in events_of(response, name):
                yield text_of(data)

        yield words()


async def until_seen(seen: AsyncGenerator[str], text: str) -> str:
    """The first event that has a text."""
    async for words in seen:
        if text in words:
            return words
    raise AssertionError(f"the stream has ended without {text}")


async def test_changes_as_they_happen(console: Served, store: LocalStore) -> None:
    """A stream begins with what was, and has each change with what it wrote."""
    async with events(console.http, "/changes/events?tenant=acme", "changes") as seen:
        assert AGENT.text in await until_seen(seen, "0 since you look")
        store.client.put(AGENT, ExecutionContext(llm_config={"model": "m-2"}))
        assert f"put {AGENT.text} all" in await until_seen(seen, "1 since you look")
        store.client.invalidate_tenant("acme", scope="conversation")
        words = await until_seen(seen, "2 since you look")
        assert "invalidate all of acme, scope conversation" in words


async def test_changes_by_a_principal(asking: Served) -> None:
    """Changes are selected by the principal that wrote; of a key, by the store."""
    async with asking.signed_in("viewer-token") as http:
        for by, found in (("ann", True), ("rita", False)):
            page = await http.get(f"/changes?key={AGENT.text}&by={by}")
            assert (f">{AGENT.text}</a>" in page.text) is found


async def test_changes_of_a_wrong_key(console: Served) -> None:
    """A malformed key is said to be wrong, and nothing is followed."""
    response = await console.http.get("/changes?key=nonsense")
    assert response.status_code == 400
    assert "this one has 1 parts" in response.text
    assert "sse-connect" not in response.text
    assert (await console.http.get("/changes/events?key=nonsense")).status_code == 400


async def test_samples_only_while_somebody_looks(console: Served) -> None:
    """One sampler serves all who look, and ends with the last of them."""
    sampler = console.console.sampler
    assert not sampler.is_sampling
    async with (
        events(console.http, "/overview/events", "overview") as one,
        events(console.http, "/overview/events", "overview") as other,
    ):
        for seen in (one, other):
            assert "store answers in" in await until_seen(seen, "Health")
        assert sampler.is_sampling
    await until_async(lambda: not sampler.is_sampling, what="the end of the sampler")


async def test_what_near_caches_save(console: Served, store: LocalStore) -> None:
    """The overview shows lookups of near caches, after clients have reported."""
    store.client.resolve(AGENT)
    async with events(console.http, "/overview/events", "overview") as seen:
        words = await until_seen(seen, "1 connected to this server")
        assert "answered from near caches" in words
        assert "How old is the oldest proof that copies are current?" in words


async def test_clients_by_another_s_token(guarded: LocalStore) -> None:
    """Who may use one tenant does not see clients that the sampler has by another's token."""
    async with (
        console_of(guarded.address) as served,
        served.signed_in("viewer-token") as all_,
        served.signed_in("acme-token") as one,
        events(all_, "/overview/events", "overview") as whole,
        events(one, "/overview/events", "overview") as part,
    ):
        await until_seen(whole, "connected to this server")
        words = await until_seen(part, "Health")
        assert "Clients are not shown" in words
        assert "connected to this server" not in words


async def test_streams_end_with_their_session(guarded: LocalStore) -> None:
    """A stream outlives no session: its page is told to load anew."""
    now = [0.0]
    sessions = Sessions(clock=lambda: now[0])
    async with (
        console_of(guarded.address, sessions) as served,
        served.signed_in("viewer-token") as http,
        http.stream("GET", "/overview/events") as response,
    ):
        now[0] = 1e6
        assert [data async for data in events_of(response, "reload")] == [""]
        assert (await http.get("/overview/events")).status_code == 303


async def test_sign_out_ends_streams(asking: Served) -> None:
    """Signing out ends the streams of the session."""
    async with (
        asking.signed_in("viewer-token") as http,
        http.stream("GET", "/overview/events") as response,
    ):
        await http.post("/sign-out")
        assert [data async for data in events_of(response, "reload")] == [""]


async def test_a_store_that_goes_and_comes(port: int) -> None:
    """If the store goes, live pages say since when; they go on by themselves once it is back."""
    key = ContextKey("conversation", "acme", "c-1")
    async with console_of(f"127.0.0.1:{port}") as served:
        response = await served.http.get("/partitions")
        assert response.status_code == 503
        assert "The store does not answer" in response.text
        assert 'hx-get="/partitions"' in response.text
        asking_again = {"hx-request": "true", "hx-target": "main"}
        part = await served.http.get("/partitions", headers=asking_again)
        assert part.status_code == 204
        async with (
            events(served.http, "/overview/events", "overview") as overview,
            events(served.http, "/changes/events?tenant=acme", "changes") as changes,
        ):
            assert "since" in await until_seen(overview, "unreachable")
            await until_seen(changes, "unreachable")
            with LocalStore(listen=f"127.0.0.1:{port}") as store:
                await until_seen(overview, "Health")
                store.client.put(key, ExecutionContext())
                assert "unreachable" not in await until_seen(changes, key.text)
                assert (await served.http.get("/partitions")).status_code == 200


async def test_a_part_that_is_loaded_once(port: int, asking: Served) -> None:
    """A part says why it does not come, asks again only if somebody wants it, and is no page."""
    path, loading = "/tenants/usage?id=acme", {"hx-request": "true", "hx-target": "usage"}
    async with console_of(f"127.0.0.1:{port}") as served:
        part = await served.http.get(path, headers=loading)
        assert part.status_code == 200  # htmx shows no other
        assert "The store has not answered" in part.text
        assert f'<button type="button" hx-get="{path}"' in part.text
        with LocalStore(listen=f"127.0.0.1:{port}"):
            await until_async(served.reaches_store)
            assert "Stored" in (await served.http.get(path, headers=loading)).text
    async with asking.signed_in("acme-token") as http:
        part = await http.get("/tenants/usage?id=globex", headers=loading)
        assert (part.status_code, "<html" in part.text) == (200, False)
        assert "Your principal may not see this" in part.text


async def test_a_right_that_is_missing(asking: Served) -> None:
    """A stream of what its viewer may not see has its page load anew, which says why."""
    async with (
        asking.signed_in("acme-token") as http,
        http.stream("GET", "/changes/events?tenant=globex") as response,
    ):
        assert [data async for data in events_of(response, "reload")] == [""]

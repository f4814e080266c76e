"""What each page shows, over HTTP, of a real store."""

from urllib.parse import quote

import pytest
from relevo_client import ContextKey, ExecutionContext
from relevo_client.testing import LocalStore
from relevo_console.views import composition
from relevo_server.wire import redaction
from support.console import AGENT, CONVERSATION, PAGES, Served, text_of
from support.waiting import until_async


async def words(console: Served, path: str, status: int = 200) -> str:
    """The words of a page. Fails if it has another status."""
    response = await console.http.get(path)
    assert response.status_code == status, response.text
    return text_of(response.text)


@pytest.mark.parametrize("path", PAGES)
async def test_every_page(console: Served, path: str) -> None:
    """Every page is there, and has nothing that its policy forbids."""
    response = await console.http.get(path)
    assert response.status_code == 200
    for forbidden in ("<style", " style=", " onclick", " hx-on", "http://", "https://"):
        assert forbidden not in response.text


async def test_context_in_layers(console: Served) -> None:
    """A context shows its layers, what is missing, and each value with the entry of its origin."""
    shown = await words(console, f"/context?ref={CONVERSATION.text}")
    assert "no such entry: tenant_config:acme:defaults" in shown
    assert 'llm_config.model "m-1" 0 agent_config:acme:support' in shown
    assert 'user_id "u-1" 1 conversation:acme:c-1' in shown
    assert 'llm_config.api_key "[redacted]"' in shown


async def test_turn_of_an_unchanged_context(console: Served, store: LocalStore) -> None:
    """If nothing was written since a reference, the turn worked with exactly what is shown."""
    entry = store.client.get(CONVERSATION)
    shown = await words(console, f"/context?ref={CONVERSATION.text}@{entry.revision}")
    assert "worked with exactly this" in shown
    store.client.put(AGENT, ExecutionContext(llm_config={"model": "m-2"}))
    shown = await words(console, f"/context?ref={CONVERSATION.text}@{entry.revision}")
    assert "may have worked with other values: 1 of 2 entries were written later" in shown


async def test_turn_by_pasted_text(console: Served, store: LocalStore) -> None:
    """A piece of a log leads to the context of its reference, and is not in the URL."""
    revision = store.client.get(CONVERSATION).revision
    log = f"user=secret-name context-key: {CONVERSATION.text} context-revision: {revision}"
    response = await console.http.post("/turn", data={"text": log})
    assert response.status_code == 303
    place = response.headers["location"]
    assert place == f"/context?ref={quote(f'{CONVERSATION.text}@{revision}', safe='')}"
    wrong = await console.http.post("/turn", data={"text": "nothing of ours"})
    assert wrong.status_code == 400
    assert "no reference found" in wrong.text


async def test_snapshot_and_what_has_changed_since(console: Served, store: LocalStore) -> None:
    """A snapshot says what it was made of, and is compared with what its entry is now."""
    store.client.put(CONVERSATION, ExecutionContext(includes=(AGENT,), user_id="u-1"))
    snapshot = store.client.turn_entry(CONVERSATION)
    store.client.put(AGENT, ExecutionContext(llm_config={"model": "m-2", "api_key": "other"}))
    page = await console.http.get(f"/context?ref={snapshot.key.text}")
    shown = text_of(page.text)
    assert "a snapshot never changes" in shown
    assert CONVERSATION.text in shown
    path = f"/difference?left={snapshot.key.text}&right={CONVERSATION.text}"
    assert path.replace(":", "%3A").replace("&", "&amp;") in page.text
    difference = await words(console, path)
    assert "2 values differ" in difference
    assert 'llm_config.model ~ changed "m-1" "m-2"' in difference
    assert "agent_config.tools[0] - removed" in difference
    assert "Hidden values count as the same" in difference


async def test_difference_of_what_does_not_exist(console: Served) -> None:
    """Each side says by itself what is wrong with it."""
    response = await console.http.get("/difference?left=nonsense&right=a:b:c")
    assert response.status_code == 400
    assert "no reference found" in response.text
    assert "there is no live entry" in response.text


async def test_absent_context(console: Served) -> None:
    """A key without an entry has a page that says so, and leads to its changes."""
    shown = await words(console, "/context?ref=conversation:acme:gone", 404)
    assert "There is no live entry under this key" in shown
    behind = await words(console, f"/context?ref={CONVERSATION.text}@{(1 << 63) - 1}", 404)
    assert "The store has not reached this revision" in behind


async def test_contexts_in_pages(console: Served, store: LocalStore) -> None:
    """The contexts of a tenant come in pages, by links, each key once."""
    names = {f"conversation:many:c-{i}" for i in range(230)}
    for name in names:
        store.client.put(ContextKey.parse(name), ExecutionContext())
    path, found = "/contexts?tenant=many", list[str]()
    while path:
        page = (await console.http.get(path)).text
        found += [part.partition("<")[0] for part in page.split('">conversation:many:')[1:]]
        following = page.partition('rel="next" href="')[2].partition('"')[0]
        path = following.replace("&amp;", "&")
    assert len(found) == len(set(found)) == len(names)


async def test_contexts_of_a_scope(console: Served) -> None:
    """A scope selects; a tenant without contexts has a page that says so."""
    shown = await words(console, "/contexts?tenant=acme&scope=agent_config")
    assert AGENT.text in shown
    assert CONVERSATION.text not in shown
    assert "There is no live context here" in await words(console, "/contexts?tenant=nobody")


async def test_clients(console: Served, store: LocalStore) -> None:
    """Clients are shown with what `relevo clients` prints, in the order that is asked for."""
    assert "No client watches" in await words(console, "/clients")
    store.client.resolve(AGENT)
    for sort in ("lag", "hits", "nonsense"):
        shown = await words(console, f"/clients?sort={sort}&page=7")
        assert "1 client" in shown
        assert "Hit ratio" in shown


async def test_tenant(console: Served) -> None:
    """A tenant's page is there at once; what it uses comes after, with its quotas."""
    page = await console.http.get("/tenants/one?id=acme")
    assert 'hx-get="/tenants/usage?id=acme"' in page.text
    shown = await words(console, "/tenants/usage?id=acme")
    assert "agent_config 1" in shown
    assert "watch streams" in shown
    ranking = await words(console, "/tenants?sort=bytes")
    assert "acme" in ranking


async def test_partitions(console: Served, store: LocalStore) -> None:
    """Partitions show how far their logs reach, and how the server follows them."""
    shown = await words(console, "/partitions")
    assert "not followed" in shown
    store.client.resolve(AGENT)  # its cache subscribes to the key meanwhile

    async def is_followed() -> bool:
        return "current" in await words(console, "/partitions")

    await until_async(is_followed)


@pytest.mark.parametrize(
    "text, place",
    [
        ("conversation:acme:c-1", "/context?ref=conversation%3Aacme%3Ac-1"),
        ("conversation:acme:c-1@12", "/context?ref=conversation%3Aacme%3Ac-1%4012"),
        (" acme ", "/contexts?tenant=acme"),
        ("a:b", "/context?ref=a%3Ab"),
        ("", "/context?ref="),
    ],
)
async def test_search(console: Served, text: str, place: str) -> None:
    """The search leads to a context, or to the contexts of a tenant."""
    response = await console.http.get("/find", params={"q": text})
    assert (response.status_code, response.headers["location"]) == (303, place)


async def test_no_such_page(console: Served) -> None:
    """An unknown path has a page that leads on."""
    assert "There is no such page" in await words(console, "/nowhere", 404)


def test_secrets_are_known() -> None:
    """The console knows redacted values by the text that the server puts in their place."""
    assert composition.REDACTED == redaction.REDACTED

"""Invalidation: asked for by name, refused without the right, and absent if read-only."""

import re
from urllib.parse import parse_qsl

from relevo_client.testing import LocalStore
from support.console import AGENT, CONVERSATION, Served, console_of, text_of


async def test_a_key(console: Served, store: LocalStore) -> None:
    """A page names what ends; only with the key typed does it end, and that is a change."""
    page = await console.http.get(f"/invalidate?key={CONVERSATION.text}")
    assert f"This ends one entry: {CONVERSATION.text}" in text_of(page.text)
    request = re.search(r'name="request" value="(\w+)"', page.text)
    assert request
    fields = {"key": CONVERSATION.text, "request": request[1], "confirmed": "yes"}
    wrong = await console.http.post("/invalidate", data=fields)
    assert wrong.status_code == 400
    assert "nothing has ended" in wrong.text
    assert store.client.get(CONVERSATION).version
    fields["confirmed"] = CONVERSATION.text
    for _ in range(2):  # a form that is sent twice ends once
        done = await console.http.post("/invalidate", data=fields)
        assert "1 entry has ended" in text_of(done.text)
    assert (await console.http.get(f"/context?ref={CONVERSATION.text}")).status_code == 404


async def test_a_scope_and_a_tenant(console: Served) -> None:
    """Of a tenant or a scope, the page counts what would end; the tenant's name confirms it."""
    for query, count in (("tenant=acme", 2), ("tenant=acme&scope=agent_config", 1)):
        page = await console.http.get(f"/invalidate?{query}")
        assert f"/invalidate/count?{query}".replace("&", "&amp;") in page.text
        counted = text_of((await console.http.get(f"/invalidate/count?{query}")).text)
        assert counted.startswith(f"{count} entr")
    fields = {"tenant": "acme", "scope": "agent_config", "confirmed": "acme"}
    done = await console.http.post("/invalidate", data=fields)
    assert "All entries of the scope agent_config of acme have ended" in text_of(done.text)
    assert (await console.http.get(f"/context?ref={AGENT.text}")).status_code == 404
    assert (await console.http.get(f"/context?ref={CONVERSATION.text}")).status_code == 200


async def test_nothing_that_could_end(console: Served) -> None:
    """Neither nothing, nor a malformed key, nor a `*` names what ends."""
    for query in ("", "key=nonsense", "tenant=*", "tenant=acme&scope=*"):
        assert (await console.http.get(f"/invalidate?{query}")).status_code == 400
        fields = {**dict(parse_qsl(query)), "confirmed": "*"}
        response = await console.http.post("/invalidate", data=fields)
        assert response.status_code == 400
    assert (await console.http.get(f"/context?ref={CONVERSATION.text}")).status_code == 200


async def test_a_key_without_an_entry(console: Served) -> None:
    """A key without a live entry can be named: the page says that there is none."""
    page = await console.http.get("/invalidate?key=a:b:c")
    assert "There is no live entry under this key now" in page.text
    fields = {"key": "a:b:c", "confirmed": "a:b:c"}
    done = await console.http.post("/invalidate", data=fields)
    assert "There was no live entry to end" in done.text


async def test_read_only(store: LocalStore) -> None:
    """A console that is read-only has neither the pages nor links to them."""
    async with console_of(store.address, is_read_only=True) as served:
        for path in (f"/context?ref={AGENT.text}", "/contexts?tenant=acme", "/tenants/one?id=acme"):
            assert "/invalidate" not in (await served.http.get(path)).text
        fields = {"key": AGENT.text, "confirmed": AGENT.text}
        assert (await served.http.get(f"/invalidate?key={AGENT.text}")).status_code == 404
        assert (await served.http.post("/invalidate", data=fields)).status_code == 404
        assert store.client.get(AGENT).version

"""The console in a real browser: every page, live parts, the keyboard, and what it received."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from playwright.async_api import Page, Route, expect
from relevo_client import ContextKey, ExecutionContext
from relevo_client.testing import LocalStore
from relevo_look.look import Theme
from support.browser.looping import looped
from support.browser.visits import Visit, Visits, Width
from support.console import (
    ADMIN,
    AGENT,
    CONVERSATION,
    MARKED,
    PRINCIPALS,
    Served,
    console_of,
    fill,
)
from support.waiting import until_async

PAGES = (
    "",
    "changes?tenant=acme",
    "contexts?tenant=acme",
    f"context?ref={CONVERSATION.text}",
    "turn",
    f"difference?left={CONVERSATION.text}&right={AGENT.text}",
    "clients",
    "tenants",
    "tenants/one?id=acme",
    "partitions",
    "invalidate?tenant=acme",
    f"context?ref={AGENT.text}x",
    "nowhere",
)


@pytest.fixture
def store() -> Iterator[LocalStore]:
    """A store with principals, with something in it, and a client."""
    with LocalStore(token=ADMIN, principals=PRINCIPALS) as running:
        fill(running)
        for i in range(5):
            key = ContextKey("conversation", "acme", f"more-{i}")
            running.client.put(key, ExecutionContext(includes=(AGENT,)))
            running.client.resolve(key)
        yield running


@looped()
async def served(store: LocalStore) -> AsyncGenerator[Served]:
    """Its console."""
    async with console_of(store.address) as served:
        yield served


async def signed_in(visits: Visits, served: Served, path: str, **how: Any) -> Visit:
    """A page, after the sign-in that it asks for."""
    visit = await visits.open(f"{served.url}{path}", **how)
    page = visit.page
    await page.get_by_label("Token").fill(ADMIN)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).not_to_have_text("Sign in")
    await page.wait_for_load_state()
    return visit


async def arrived(page: Page, heading: str) -> None:
    """Wait until a page is shown, whose scripts hear the keyboard from then on."""
    await expect(page.get_by_role("heading", level=1)).to_have_text(heading)
    await page.wait_for_load_state()


@pytest.mark.parametrize(
    "width, theme", [(400, "dark"), (1280, "light"), (1280, "dark"), (2000, "light")]
)
async def test_every_page(served: Served, visits: Visits, width: Width, theme: Theme) -> None:
    """Every page fits at each width, axe finds nothing serious in both themes, nothing is secret.

    Neither a marked value nor a token is in anything that the browser received.
    """
    visit = await signed_in(visits, served, "", width=width, theme=theme)
    page = visit.page
    for path in PAGES:
        with visit.record.allowing("404 (Not Found)"):
            await page.goto(f"{served.url}{path}")
        if path.startswith(("tenants/one", "invalidate")):
            await expect(page.locator("progress")).to_have_count(0)
        if path == "":
            await expect(page.locator("relevo-chart").first).to_be_visible()
        await visit.check_fits()
        await visit.check_accessible()
    assert await visit.record.found([MARKED, ADMIN]) == []


async def test_sign_in_page(served: Served, visits: Visits) -> None:
    """The sign-in says what is wrong, leads back to the page that asked; a sign-out ends it."""
    visit = await visits.open(f"{served.url}clients?sort=hits")
    page = visit.page
    await visit.check_accessible()
    with visit.record.allowing("401 (Unauthorized)", "403 (Forbidden)"):
        for token, words in (
            ("nobody", "does not know this token"),
            ("reader-token", "role admin"),
        ):
            await page.get_by_label("Token").fill(token)
            await page.get_by_role("button", name="Sign in").click()
            await expect(page.get_by_role("alert")).to_contain_text(words)
    await visit.check_accessible()
    await page.get_by_label("Token").fill("viewer-token")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Clients")
    assert page.url.endswith("/clients?sort=hits")
    assert await page.evaluate("document.cookie") == ""
    await page.get_by_role("button", name="Sign out").click()
    await page.goto(f"{served.url}clients")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")


async def test_live_changes(served: Served, visits: Visits, store: LocalStore) -> None:
    """Changes appear as they happen; a pause holds them back and counts them; the page goes on."""
    visit = await signed_in(visits, served, "changes?tenant=acme")
    page = visit.page
    await expect(page.locator("#live")).to_have_text("live")
    store.client.put(AGENT, ExecutionContext(llm_config={"model": "m-2", "api_key": MARKED}))
    await expect(page.locator("#changes [data-count]")).to_contain_text("1 since you look")
    await page.get_by_role("button", name="Pause").click()
    for i in range(3):
        store.client.put(ContextKey("conversation", "acme", f"held-{i}"), ExecutionContext())
    await expect(page.locator("#held")).to_have_text("paused; 3 more since")
    await expect(page.locator("#changes")).not_to_contain_text("held-")
    await page.get_by_role("button", name="Go on").click()
    await expect(page.locator("#changes")).to_contain_text("held-2")
    await expect(page.locator("#changes [data-count]")).to_contain_text("4 since you look")
    await page.get_by_role("link", name=AGENT.text).first.click()
    await expect(page.locator("main")).to_contain_text('"m-2"')
    assert await visit.record.found([MARKED]) == []


async def test_overview_is_live(served: Served, visits: Visits) -> None:
    """The overview's figures and charts are renewed in place."""
    visit = await signed_in(visits, served, "")
    page = visit.page
    await expect(page.locator("#overview")).to_contain_text("1 connected to this server")
    drawing: Any = await page.locator("#chart-latency canvas").element_handle()
    before = await page.locator("#chart-latency").get_attribute("data")
    await expect(page.locator("#chart-latency")).not_to_have_attribute("data", before or "")
    assert drawing
    assert await drawing.evaluate("(each) => each.isConnected")


async def test_by_keyboard(served: Served, visits: Visits) -> None:
    """`/` leads to the search, Enter to what was named; the skip link leads to the content."""
    visit = await signed_in(visits, served, "partitions")
    page = visit.page
    await page.keyboard.press("/")
    await page.keyboard.type(CONVERSATION.text)
    await page.keyboard.press("Enter")
    await arrived(page, "Context")
    await page.keyboard.press("/")
    await page.keyboard.type("acme")
    await page.keyboard.press("Enter")
    await arrived(page, "Contexts of acme")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("#main")).to_be_focused()
    await page.keyboard.press("/")
    await page.keyboard.type("/")  # in a field it is a character
    await expect(page.locator("#search")).to_have_value("/")


async def test_what_a_turn_worked_with(served: Served, visits: Visits, store: LocalStore) -> None:
    """From a piece of a log to the turn's context, and on to what has changed since."""
    store.client.put(CONVERSATION, ExecutionContext(includes=(AGENT,)))
    snapshot = store.client.turn_entry(CONVERSATION)
    store.client.put(AGENT, ExecutionContext(llm_config={"model": "m-2"}))
    visit = await signed_in(visits, served, "turn")
    page = visit.page
    await page.get_by_role("textbox", name="Reference").fill(f"context-key: {snapshot.key.text}")
    await page.get_by_role("button", name="Show its context").click()
    await expect(page.locator("main")).to_contain_text("A turn worked with exactly this")
    await page.get_by_role("link", name="What has changed since").click()
    await expect(page.locator("main ins")).to_have_text(['"m-2"'])


async def test_invalidate(served: Served, visits: Visits) -> None:
    """A context is ended from its page, after its key was typed."""
    visit = await signed_in(visits, served, f"context?ref={CONVERSATION.text}")
    page = visit.page
    await page.get_by_role("link", name="End …").click()
    await page.get_by_label("Type the key to go on").fill(CONVERSATION.text)
    await page.get_by_role("button", name="End it").click()
    await expect(page.locator("main")).to_contain_text("1 entry has ended")
    await page.get_by_role("link", name="Changes of acme").click()
    await expect(page.locator("#changes")).to_contain_text("invalidate")


async def test_without_scripts(served: Served, visits: Visits) -> None:
    """Pages can be read, and forms sent, in a browser that runs no scripts."""
    visit = await signed_in(visits, served, "contexts?tenant=acme", scripts=False)
    page = visit.page
    await page.get_by_role("link", name=AGENT.text).click()
    await expect(page.locator("main")).to_contain_text("[redacted]")


async def test_the_store_starts_again(visits: Visits, port: int) -> None:
    """If the store goes away the pages say since when, and go on by themselves once it is back."""
    listen = f"127.0.0.1:{port}"
    async with console_of(listen) as served:
        with LocalStore(listen=listen) as store:
            fill(store)
            live = await visits.open(f"{served.url}changes?tenant=acme")
            other = await visits.open(f"{served.url}partitions")
            await expect(live.page.locator("#changes")).to_contain_text(AGENT.text)
        await expect(live.page.locator("#changes")).to_contain_text("unreachable")
        await expect(live.page.locator("#changes")).to_contain_text(AGENT.text)  # it stays
        with other.record.allowing("503 (Service Unavailable)"):
            await other.page.reload()
        await expect(other.page.get_by_role("alert")).to_contain_text("since")
        with LocalStore(listen=listen) as store:
            await expect(other.page.get_by_role("heading", level=1)).to_have_text("Partitions")
            await expect(live.page.locator("#changes")).not_to_contain_text("unreachable")
            store.client.put(ContextKey("conversation", "acme", "after"), ExecutionContext())
            await expect(live.page.locator("#changes")).to_contain_text("acme:after")
        await live.page.goto("about:blank")  # before the console ends


async def test_the_store_goes_while_a_part_loads(visits: Visits, port: int) -> None:
    """A part that does not come says so; whoever asks again gets it, without a reload."""
    listen = f"127.0.0.1:{port}"
    async with console_of(listen) as served:
        with ExitStack() as running:
            fill(running.enter_context(LocalStore(listen=listen)))
            visit = await visits.open(f"{served.url}tenants")

            async def stop(route: Route) -> None:
                running.close()
                await route.continue_()

            await visit.page.route("**/tenants/usage?id=acme", stop, times=1)
            await visit.page.get_by_role("link", name="acme").first.click()
            usage = visit.page.locator("#usage")
            await expect(usage.get_by_role("alert")).to_contain_text("has not answered")
            await expect(usage.locator("progress")).to_have_count(0)
            await visit.check_accessible()
        with LocalStore(listen=listen) as store:
            fill(store)
            await until_async(served.reaches_store)
            await usage.get_by_role("button", name="Ask again").click()
            await expect(usage.get_by_role("heading", name="Stored")).to_be_visible()


async def test_the_console_starts_again(visits: Visits, store: LocalStore, port: int) -> None:
    """A page hears again of changes after the console was started again, without a reload."""
    where: dict[str, Any] = {"port": port, "own_token": lambda: ADMIN}
    with ExitStack() as ended:
        async with console_of(store.address, **where) as served:
            visit = await visits.open(f"{served.url}changes?tenant=acme")
            state, changes = visit.page.locator("#live"), visit.page.locator("#changes")
            await expect(state).to_have_text("live")
            await expect(changes).to_contain_text(AGENT.text)
            ended.enter_context(visit.record.outage())
        await expect(state).to_have_text("reconnecting")
        async with console_of(store.address, **where):
            await expect(state).to_have_text("live")
            store.client.put(ContextKey("conversation", "acme", "after"), ExecutionContext())
            await expect(changes).to_contain_text("acme:after")
            await visit.page.goto("about:blank")

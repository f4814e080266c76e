"""The platform's page in a real browser, on a platform of real processes."""

import os
import re
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from nooble.wiring import MODES, Mode
from playwright.async_api import Page, expect
from relevo_client import ContextKey
from relevo_demo.launching import ProcessError
from relevo_look.look import MODES as WORDS
from relevo_look.look import Theme
from support.browser.looping import looped
from support.browser.visits import WIDTHS, Visit, Visits, Width
from support.platform.page import LONG, ServedPage, served_page

pytestmark = pytest.mark.timeout(900)
AGENT = ContextKey("agent_config", "meridian", "support")
MARKED = "sk-marked-4711"
"""A secret in the agent's configuration, which no browser may receive."""
_LONG = LONG * 1000
"""Milliseconds for what processes do on a busy machine."""


@looped(scope="module")
async def served() -> AsyncGenerator[ServedPage]:
    """The page, whose agent has a secret in its configuration."""
    async with served_page() as page:
        await page.get("relevo", "/form")  # until it runs
        await page.page.platforms.change(AGENT.text, {"llm_config": {"api_key": MARKED}})
        yield page


async def opened(
    visits: Visits,
    served: ServedPage,
    mode: Mode = "relevo",
    conversation: str = "c-1",
    **options: Any,
) -> Visit:
    """The page, once one can chat."""
    visit = await visits.open(served.address(mode, conversation=conversation), **options)
    await expect(visit.page.locator("#send")).to_be_enabled(timeout=_LONG)
    await expect(visit.page.locator("#save")).to_be_visible(timeout=_LONG)
    return visit


async def ask(page: Page, text: str = "Can I return a tent?") -> str:
    """Send a message by the keyboard, and return what was remarked about the turn."""
    remarks = page.locator("#transcript .remark")
    count = await remarks.count()
    await page.locator("#text").fill(text)
    await page.locator("#text").press("Enter")
    await expect(remarks).to_have_count(count + 1, timeout=_LONG)
    return await remarks.last.inner_text()


async def test_chat(served: ServedPage, visits: Visits) -> None:
    """An answer comes, and beside it each service's step with its settings and their source."""
    page = (await opened(visits, served)).page
    assert "one configuration" in await ask(page)
    await expect(page.locator("#transcript .theirs")).to_contain_text("Nora")
    steps = page.locator("#way .step")
    await expect(steps).to_have_count(7)
    await expect(steps.last).to_contain_text("llm_config.max_tokens")
    await expect(page.locator("#headers")).to_contain_text("X-Tenant-ID: meridian")
    await expect(page.locator("#compare tbody tr")).to_have_count(1)


async def test_change(served: ServedPage, visits: Visits) -> None:
    """A wrong value is told at its field; a right one is acknowledged, and used at once."""
    page = (await opened(visits, served)).page
    await ask(page)
    tokens = page.locator("#set-llm-config-max-tokens")
    await tokens.fill("")
    await page.locator("#save").click()
    await expect(page.locator("#error-llm-config-max-tokens")).to_be_visible()
    await expect(tokens).to_have_attribute("aria-invalid", "true")
    await tokens.fill("37")
    await page.locator("#save").click()
    await expect(page.locator("#outcome")).to_contain_text("acknowledged after", timeout=_LONG)
    await ask(page)
    changed = page.locator("#way .is-changed", has_text="llm_config.max_tokens")
    await expect(changed).to_contain_text("37")


async def test_fault_buttons(served: ServedPage, visits: Visits) -> None:
    """A killed store is seen, turns say what they did without it, and it comes back."""
    page = (await opened(visits, served)).page
    await ask(page)
    store, button = page.locator("#part-store-1"), page.locator("#do-store-1")
    await button.focus()
    await page.keyboard.press("Enter")
    await expect(store).to_contain_text("killed", timeout=_LONG)
    await expect(button).to_be_focused()
    remark = await ask(page)
    while "Last known" not in remark:  # its last proof is less than 0.75 s old
        assert "one configuration" in remark
        remark = await ask(page)
    await expect(button).to_have_text("Restart")
    await button.focus()
    await page.keyboard.press("Enter")
    await expect(store).to_contain_text("running", timeout=_LONG)
    while "Last known" in await ask(page):
        pass


async def test_a_process_that_ends_is_seen(served: ServedPage, visits: Visits) -> None:
    """The state of a process is live, whoever ended it."""
    page = (await opened(visits, served)).page
    part = served.page.platforms["relevo"].parts.named("query-2")
    os.kill(part.pid, signal.SIGKILL)
    await expect(page.locator("#part-query-2")).to_contain_text("failed", timeout=_LONG)
    await page.locator("#do-query-2").click()
    await expect(page.locator("#part-query-2")).to_contain_text("running", timeout=_LONG)


async def test_a_platform_that_does_not_start(
    visits: Visits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page says why, and the chat does not try again and again: nothing would be other."""

    @asynccontextmanager
    async def fails(*_: object, **__: object) -> AsyncGenerator[None]:
        raise ProcessError("nooble.contexts has ended")
        yield

    monkeypatch.setattr("nooble.page.platforms.nooble", fails)
    async with served_page() as failing:
        page = (await visits.open(failing.address("relevo"))).page
        state, chats = page.locator("#chat-state"), list[str]()
        await expect(state).to_have_text("the platform did not start")
        page.on("websocket", lambda each: chats.append(each.url))
        await page.clock.install()
        await page.reload()
        await expect(page.get_by_role("alert")).to_contain_text("nooble.contexts has ended")
        await expect(state).to_have_text("the platform did not start")
        await page.clock.fast_forward("01:00")
        await page.goto("about:blank")  # before the server ends
        assert len(chats) == 1


async def test_modes(served: ServedPage, visits: Visits) -> None:
    """The same text in each mode: after a change, the copy in Redis alone is outdated."""
    visit = await opened(visits, served, conversation="c-modes")
    page = visit.page
    text = "My parcel has not moved for days. Is it lost?"
    await ask(page, text)
    for mode in MODES:
        await page.get_by_role("navigation", name="Mode").get_by_text(WORDS[mode].word).click()
        await expect(page.locator("h1")).to_have_text(WORDS[mode].word)
        await expect(page.locator("#send")).to_be_enabled(timeout=_LONG)
        if mode != "relevo":
            await expect(page.locator("#text")).to_have_value(text)
        assert "one configuration" in await ask(page, text)
    await page.locator("#set-llm-config-max-tokens").fill("41")
    await page.locator("#save").click()
    await expect(page.locator("#outcome .notice")).to_have_count(3, timeout=_LONG)
    for mode in MODES:
        await page.get_by_role("navigation", name="Mode").get_by_text(WORDS[mode].word).click()
        await expect(page.locator("#send")).to_be_enabled(timeout=_LONG)
        remark = await ask(page, text)
        assert ("Outdated" in remark) == (mode == "redis-json")
    rows = page.locator("#compare tbody tr")
    await expect(rows).to_have_count(3)
    await expect(rows.filter(has_text=WORDS["redis-json"].word)).to_contain_text("outdated")
    await expect(rows.filter(has_text=WORDS["relevo"].word)).to_contain_text("current")


async def test_no_secret(served: ServedPage, visits: Visits) -> None:
    """The browser receives the marked secret nowhere: pages, forms, events, the chat."""
    visit = await opened(visits, served)
    await ask(visit.page)
    await expect(visit.page.locator("#set-llm-config-api-key")).to_have_value("")
    await visit.page.locator("#set-llm-config-max-tokens").fill("43")
    await visit.page.locator("#save").click()
    await expect(visit.page.locator("#outcome .notice").first).to_be_visible(timeout=_LONG)
    await ask(visit.page)
    await expect(visit.page.locator("#way")).to_contain_text("api_key")
    everything = await visit.record.everything()
    assert "llm_config.api_key" in everything  # it was looked for in what has it
    assert await visit.record.found([MARKED]) == []


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
async def test_readable(served: ServedPage, visits: Visits, width: Width, theme: Theme) -> None:
    """At every width and in both themes nothing is cut, and axe finds nothing serious."""
    visit = await opened(visits, served, width=width, theme=theme)
    await ask(visit.page)
    await visit.check_fits()
    await visit.check_accessible()


async def test_keyboard(served: ServedPage, visits: Visits) -> None:
    """One gets to everything by the Tab key, in an order that makes sense."""
    page = (await opened(visits, served)).page
    seen: list[str] = []
    await page.locator("body").focus()
    for _ in range(60):
        await page.keyboard.press("Tab")
        seen.append(
            await page.evaluate(
                "document.activeElement.id || document.activeElement.textContent.trim()"
            )
        )
    wanted = [
        "JSON in Redis",
        "agent",
        "text",
        "send",
        "do-store-1",
        "set-llm-config-model",
        "save",
    ]
    places = [seen.index(each) for each in wanted]
    assert places == sorted(places)


async def test_a_text_is_no_markup(served: ServedPage, visits: Visits) -> None:
    """What people write is shown as text, in the chat, the way and the table."""
    visit = await opened(visits, served)
    text = '<img src=x onerror="document.title=1"><b>tent</b> returns'
    await ask(visit.page, text)
    await expect(visit.page.locator("#transcript .mine").last).to_have_text(text)
    await expect(visit.page.locator("#way q")).to_have_text(text)
    assert await visit.page.locator("main img").count() == 0
    assert not re.match("1", await visit.page.title())


async def test_the_server_restarts(served: ServedPage, visits: Visits) -> None:
    """After the page's server was away, the chat and what is live go on without a reload."""
    visit = await opened(visits, served)
    page = visit.page
    await ask(page)
    with visit.record.outage():
        async with served.away():
            await expect(page.locator("#live")).to_have_text("reconnecting", timeout=_LONG)
            await expect(page.locator("#send")).to_be_disabled()
            await expect(page.locator("#chat-state")).to_have_text("reconnecting")
        await expect(page.locator("#live")).to_have_text("live", timeout=_LONG)
        await expect(page.locator("#send")).to_be_enabled(timeout=_LONG)
    assert "one configuration" in await ask(page)
    await expect(page.locator("#transcript .theirs")).to_have_count(2)

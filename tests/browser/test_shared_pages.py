"""What all pages share, in a real browser: the look, live parts, charts, the theme."""

import json
from collections.abc import AsyncGenerator
from contextlib import ExitStack

import pytest
from playwright.async_api import Browser, expect
from relevo_look import units
from relevo_look.look import Theme
from relevo_web.serving import listen, serving
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from support.browser.looping import looped
from support.browser.visits import WIDTHS, Visits, Width
from support.network.ports import ReservedPort
from support.web.sample import Sample


@looped()
async def sample() -> Sample:
    """A site with one of everything."""
    return Sample()


@looped()
async def url(sample: Sample) -> AsyncGenerator[str]:
    """Where it is served."""
    async with sample.served() as url:
        yield url


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
async def test_readable(url: str, visits: Visits, width: Width, theme: Theme) -> None:
    """At every width and in both themes nothing is cut, and axe finds nothing serious."""
    visit = await visits.open(url, width=width, theme=theme)
    await expect(visit.page.locator("#live")).to_have_text("live")
    await visit.check_fits()
    await visit.check_accessible()


async def test_live(sample: Sample, url: str, visits: Visits) -> None:
    """What an event brings is shown at once, and its chart is drawn anew in the same place."""
    visit = await visits.open(url)
    await expect(visit.page.locator("#value")).to_have_text("0")
    drawing = await visit.page.locator("relevo-chart canvas").element_handle()
    sample.values.put_nowait(7)
    await expect(visit.page.locator("#value")).to_have_text("7")
    assert drawing is not None
    assert await drawing.evaluate("(each) => each.isConnected")
    assert "Last: 7 calls a second." in await visit.record.everything()


async def test_reconnects(visits: Visits) -> None:
    """A page says that its server is gone, and comes back by itself, with what is true then."""
    with ReservedPort() as port, ExitStack() as ended:
        async with Sample().served(listen(port=port.number)) as url:
            visit = await visits.open(url)
            live = visit.page.locator("#live")
            await expect(live).to_have_text("live")
            ended.enter_context(visit.record.outage())
        await expect(live).to_have_text("reconnecting")
        async with Sample(value=5).served(listen(port=port.number)):
            await expect(live).to_have_text("live")
            await expect(visit.page.locator("#value")).to_have_text("5")
            await visit.page.goto("about:blank")


async def test_theme(url: str, visits: Visits) -> None:
    """The reader's choice of a theme is kept, and another page has it before it is painted."""
    visit = await visits.open(url, theme="dark")
    toggle = visit.page.get_by_role("button", name="Dark theme")
    background = "getComputedStyle(document.body).backgroundColor"
    dark = await visit.page.evaluate(background)
    await expect(toggle).to_have_attribute("aria-pressed", "true")
    await toggle.click()
    await expect(toggle).to_have_attribute("aria-pressed", "false")
    light = await visit.page.evaluate(background)
    assert light != dark
    await visit.page.get_by_role("link", name="Second").first.click()
    await expect(visit.page.locator("h1")).to_have_text("Second")
    assert await visit.page.evaluate(background) == light


async def test_keyboard(url: str, visits: Visits) -> None:
    """The first Tab leads past the navigation, and what has the focus can be seen."""
    visit = await visits.open(url)
    await visit.page.keyboard.press("Tab")
    skip = visit.page.get_by_role("link", name="Skip to the content")
    await expect(skip).to_be_focused()
    await expect(skip).to_be_in_viewport()
    await visit.page.keyboard.press("Enter")
    await expect(visit.page.locator("#main")).to_be_focused()
    await visit.page.keyboard.press("Tab")
    focused = visit.page.locator(":focus-visible")
    await expect(focused).to_have_text("Second")
    await expect(focused).to_have_css("outline-style", "solid")


async def test_form(sample: Sample, url: str, visits: Visits) -> None:
    """A form is sent without a new page, and passes the check of its origin."""
    visit = await visits.open(url)
    await visit.page.get_by_label("Text").fill("hello")
    await visit.page.get_by_role("button", name="Send").click()
    await expect(visit.page.locator("#posted")).to_have_text("done")
    assert sample.posted == ["hello"]


async def test_without_scripts(sample: Sample, url: str, visits: Visits) -> None:
    """Without scripts a page can be read, and its form can be sent."""
    visit = await visits.open(url, scripts=False)
    await expect(visit.page.locator("time").first).to_have_text("2026-11-29 05:31:08 UTC")
    await visit.page.get_by_label("Text").fill("hello")
    await visit.page.get_by_role("button", name="Send").click()
    await expect(visit.page.locator("h1")).to_have_text("Second")
    assert sample.posted == ["hello"]


async def test_hostile_site(sample: Sample, url: str, browser: Browser) -> None:
    """Another site's page changes nothing and opens no WebSocket: the browser says whose it is."""

    async def hostile(_: Request) -> Response:
        return HTMLResponse("<title>Hostile</title>")

    app = Starlette(routes=[Route("/", hostile)])
    async with serving(app, listen()) as elsewhere, await browser.new_context() as context:
        page = await context.new_page()
        await page.goto(elsewhere)
        posted, opened = await page.evaluate(_ATTACK, url)
    assert posted == "refused"
    assert opened == "refused"
    assert not sample.posted


_ATTACK = """async (url) => {
    const body = new URLSearchParams({ text: "stolen" });
    const options = { method: "POST", mode: "no-cors", credentials: "include", body };
    const posted = await fetch(`${url}post`, options).then(() => "sent", () => "refused");
    const opened = await new Promise((resolve) => {
        const socket = new WebSocket(`${url.replace("http", "ws")}socket`);
        socket.onopen = () => resolve("open");
        socket.onerror = () => resolve("refused");
    });
    return [posted, opened];
}"""


async def test_policy(url: str, visits: Visits) -> None:
    """Nothing inline runs, whatever gets into a page."""
    visit = await visits.open(url)
    ran = await visit.page.evaluate(
        """() => {
            document.querySelector("main").insertAdjacentHTML("beforeend",
                '<img src="data:," onerror="window.ran = 1">' +
                '<p style="color: red" id="styled">x</p>');
            const script = document.createElement("script");
            script.textContent = "window.ran = 2";
            document.body.append(script);
            return [window.ran ?? 0, getComputedStyle(document.getElementById("styled")).color];
        }"""
    )
    assert ran[0] == 0
    assert ran[1] != "rgb(255, 0, 0)"
    assert len(visit.record.problems) >= 2  # and the record has seen what was tried
    visit.record.problems.clear()


async def test_units(url: str, visits: Visits) -> None:
    """Scripts write sizes and durations as terminals do."""
    numbers = [0, 1, 9.94, 9.96, 812, 1023, 1023.6, 1536, 24117248, 5e12]
    seconds = [0, 35e-8, 35e-5, 0.012, 0.9996, 1.5, 59.94, 59.96, 250, 3599.6, 11100, 186000, -3]
    visit = await visits.open(url)
    module = visit.page.locator('script[type="module"]').first
    address = ((await module.get_attribute("src")) or "").replace("app.js", "units.js")
    sizes, durations = await visit.page.evaluate(
        """async ([address, numbers, seconds]) => {
            const units = await import(address);
            return [numbers.map(units.size), seconds.map(units.duration)];
        }""",
        [address, numbers, seconds],
    )
    assert sizes == [units.size(each) for each in numbers]
    assert durations == [units.duration(each) for each in seconds]


async def test_chart(url: str, visits: Visits) -> None:
    """A chart is a picture with a name, has its unit and its time axis, and follows the theme."""
    visit = await visits.open(url)
    chart = visit.page.get_by_role("img", name="How many calls a second?")
    await expect(chart.locator("canvas")).to_be_visible()
    await expect(chart.locator(".u-legend")).to_contain_text("near cache")
    drawn = "(each) => each.shadowRoot.querySelector('canvas').toDataURL()"
    light = await chart.evaluate(drawn)
    await visit.page.get_by_role("button", name="Dark theme").click()
    assert await chart.evaluate(drawn) != light
    data = json.loads(await chart.get_attribute("data") or "")
    assert data["series"][0]["word"] == "near cache"

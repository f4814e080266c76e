"""Takes pictures of all pages: `make screenshots` writes those of the documentation anew.

It starts the platform of `relevo demo --platform --serve`, talks to an agent, changes the agent's
configuration, kills a worker, and looks at the platform's store with the console. Nothing is
made up: what the pictures show has happened. A picture of each page is taken in the light and
the dark theme, wide and narrow.
"""

import argparse
import asyncio
import io
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urljoin

from commands import ROOT
from nooble.page.app import PlatformPage
from nooble.wiring import Mode
from PIL import Image
from playwright.async_api import Browser, Page, expect
from relevo_console.app import application
from relevo_console.console import Console
from relevo_console.store import Store
from relevo_look.look import Theme
from relevo_web.serving import listen, serving
from support.browser import chromium

FOLDER = ROOT / "docs" / "images" / "pages"
MOST = 80 * 1024
"""Bytes that a picture may have."""
TALLEST = 1300
"""Pixels: what is below is cut off, and more of it if the picture is too large."""
COLOURS = 96
"""Colours of a picture: enough for text that is smoothed, in all colours of the look."""
TENANT = "meridian"
_MODES: Sequence[Mode] = ("redis-json", "relevo")
"""The modes that have taken turns; the last is the one whose pages are shown."""
_TIMEOUT = 90_000
"""Milliseconds: several platforms start at the same time."""


@dataclass(frozen=True)
class Picture:
    """A page to take pictures of."""

    name: str
    url: str
    prepare: Callable[[Page], Awaitable[object]] | None = None
    """The steps on the page before."""


@dataclass(frozen=True)
class Format:
    """The appearance of a page."""

    theme: Theme
    width: int

    @property
    def suffix(self) -> str:
        """The end of the pictures' names."""
        return f"{self.theme}-{self.width}"


FORMATS = [Format(theme, width) for theme in ("light", "dark") for width in (1280, 400)]
"""The formats of the documentation."""
WIDE = [Format(theme, 2000) for theme in ("light", "dark")]
"""Formats that are taken with --all."""


def main() -> None:
    """Take the pictures that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", type=Path, default=FOLDER, help="the folder (default: %(default)s)")
    parser.add_argument("--only", action="append", help="a page; can be repeated")
    parser.add_argument("--all", action="store_true", help="2,000 pixels wide, too")
    options = parser.parse_args()
    expect.set_options(timeout=_TIMEOUT)
    options.to.mkdir(parents=True, exist_ok=True)
    asyncio.run(_take(options.to, options.only, [*FORMATS, *(WIDE if options.all else ())]))


async def _take(folder: Path, only: Sequence[str] | None, formats: Sequence[Format]) -> None:
    async with AsyncExitStack() as stack:
        browser = await stack.enter_async_context(chromium.started())
        pictures = await stack.enter_async_context(_platform(browser))
        for picture in pictures:
            if only and picture.name not in only:
                continue
            for each in formats:
                image = await _picture(browser, picture, each)
                file = folder / f"{picture.name}-{each.suffix}.png"
                file.write_bytes(image)
                print(f"{len(image) / 1024:6.1f} KiB  {file}", flush=True)


@asynccontextmanager
async def _platform(browser: Browser) -> AsyncGenerator[list[Picture]]:
    """The platform while it takes turns, and the console of its store: their pages."""
    page = PlatformPage()
    async with page.platforms, page.serving(listen()) as url:
        last = urljoin(url, _MODES[-1])
        for mode in _MODES:
            await _converse(browser, urljoin(url, mode))
        await _change(browser, last)
        for mode in _MODES:
            await _converse(browser, urljoin(url, mode))
        async with (
            _console(page.platforms["relevo"].store) as console_url,
            _opened(browser, console_url),  # the console samples while somebody looks
        ):
            talking = asyncio.create_task(_keep_talking(browser, last))
            try:
                yield [
                    *(Picture(f"platform-{mode}", urljoin(url, mode), _ask) for mode in _MODES),
                    *_of_console(console_url),
                ]
            finally:
                talking.cancel()
                await asyncio.gather(talking, return_exceptions=True)


@asynccontextmanager
async def _console(target: str) -> AsyncGenerator[str]:
    """The console of a store; its URL."""
    async with Store(target, None, 10) as store:
        console = Console(store)
        async with serving(application(console), listen(), at_end=console.streams.end) as url:
            yield url


def _of_console(url: str) -> list[Picture]:
    def at(path: str, **query: str) -> str:
        return urljoin(url, path) + (f"?{urlencode(query)}" if query else "")

    tenant = {"tenant": TENANT}
    conversations = at("/contexts", **tenant, scope="conversation")
    snapshots = at("/contexts", **tenant, scope="snapshot")
    return [
        Picture("changes", at("/changes", **tenant)),
        Picture("contexts", at("/contexts", **tenant)),
        Picture("context", conversations, _first_key),
        Picture("difference", snapshots, _compared),
        Picture("turn", at("/turn")),
        Picture("clients", at("/clients")),
        Picture("tenants", at("/tenants")),
        Picture("tenant", at("/tenants/one", id=TENANT)),
        Picture("partitions", at("/partitions")),
        Picture("overview", at("/"), _sampled),
    ]


async def _converse(browser: Browser, url: str) -> None:
    """Talk to the agent: two turns of one conversation."""
    async with _opened(browser, url) as page:
        await _ask(page)
        await _ask(page)


async def _keep_talking(browser: Browser, url: str) -> None:
    """Talk to the agent until this task is cancelled."""
    async with _opened(browser, url) as page:
        while True:
            await _ask(page)
            await asyncio.sleep(1)


async def _ask(page: Page) -> None:
    """Ask what the page proposes, and wait for the answer."""
    await expect(page.locator("#save")).to_be_visible()
    await expect(page.locator("#send")).to_be_enabled()
    before = await page.locator("#transcript .theirs").count()
    await page.locator("[data-question]").first.click()
    await page.locator("#send").click()
    await expect(page.locator("#transcript .theirs")).to_have_count(before + 1)


async def _change(browser: Browser, url: str) -> None:
    """Change the agent's model, in all modes that run."""
    async with _opened(browser, url) as page:
        await page.locator('[name="llm_config.model"]').fill("m-2-large")
        await page.locator("#save").click()
        await expect(page.locator("#outcome .notice").first).to_be_visible()


@asynccontextmanager
async def _opened(browser: Browser, url: str, **options: Any) -> AsyncGenerator[Page]:
    """A page in a context of its own, which has the options."""
    async with await browser.new_context(**options) as context:
        context.set_default_timeout(_TIMEOUT)
        page = await context.new_page()
        await page.goto(url)
        yield page


async def _first_key(page: Page) -> None:
    await page.locator("table.data tbody a").first.click()
    await expect(page.locator("h1")).not_to_contain_text("Contexts")


async def _compared(page: Page) -> None:
    """Compare a snapshot of before the change with what its entry is now."""
    links = page.locator("table.data tbody a")
    for address in await links.evaluate_all("(all) => all.map((each) => each.href)"):
        await page.goto(address)
        compare = page.locator('main a[href^="/difference"]').first
        if await compare.count():
            await compare.click()
            await expect(page.locator("h1")).to_have_text("Difference")
            if await page.locator("#differs").count():
                return
    raise LookupError("no snapshot differs from its entry")


async def _sampled(page: Page) -> None:
    """Wait until the charts have lines."""
    await page.wait_for_function(
        """() => [...document.querySelectorAll("relevo-chart")].some(
            (each) => JSON.parse(each.getAttribute("data")).times.length >= 12)"""
    )


async def _picture(browser: Browser, picture: Picture, form: Format) -> bytes:
    async with _opened(
        browser,
        picture.url,
        viewport={"width": form.width, "height": 900},
        color_scheme=form.theme,
        reduced_motion="reduce",
    ) as page:
        if await page.locator("[sse-connect]").count():
            await expect(page.locator("#live")).to_have_attribute("data-state", "connected")
        if picture.prepare:
            await picture.prepare(page)
        await page.evaluate("document.activeElement?.blur()")
        whole = await page.screenshot(full_page=True)
    return small(Image.open(io.BytesIO(whole)).convert("RGB"))


def small(picture: Image.Image) -> bytes:
    """The PNG of the picture's top, as much of it as its size allows."""
    height = min(picture.height, TALLEST)
    while True:
        top = picture.crop((0, 0, picture.width, height))
        # Not the median cut, which gives all colours to text and none to a badge.
        few = top.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        file = io.BytesIO()
        few.save(file, "PNG", optimize=True)
        if file.tell() <= MOST:
            return file.getvalue()
        height = int(height * 0.9)


if __name__ == "__main__":
    main()

"""Pages in a browser, of a width and a theme, each with its record and its checks."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from playwright.async_api import Browser, Page
from relevo_look.look import Theme

from support.browser.record import Record

ROOT = Path(__file__).parents[3]
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
WIDTHS = (400, 1280, 2000)
"""The widths in pixels that pages have to be readable at."""
Width = Literal[400, 1280, 2000]
TIMEOUT = 30_000
"""Milliseconds after which what a page has not shown will not be shown, on a busy machine too."""


@dataclass(frozen=True)
class Visit:
    """A page, and what it did."""

    page: Page
    record: Record

    async def check(self) -> None:
        """See that there were no problems until now. Raises AssertionError."""
        await self.record.everything()
        assert not self.record.problems, "\n".join(self.record.problems)

    async def check_accessible(self) -> None:
        """See that axe has no serious finding on the page as it is. Raises AssertionError."""
        assert AXE.exists(), "no axe-core: `python tools/web_assets.py --checks` fetches it"
        with self.record.allowing("Applying inline style"):  # axe's own, which the policy blocks
            await self.page.evaluate(AXE.read_text("utf-8"))
            result: dict[str, Any] = await self.page.evaluate(
                "() => axe.run(document, {resultTypes: ['violations']})"
            )
            await self.page.evaluate("1")  # what the console got before has been recorded now
        serious = [
            f"{each['id']} ({each['impact']}): {each['help']}\n  "
            + "\n  ".join(f"{node['html']}\n    {node['failureSummary']}" for node in each["nodes"])
            for each in result["violations"]
            if each["impact"] in {"serious", "critical"}
        ]
        assert not serious, "\n".join(serious)

    async def check_fits(self) -> None:
        """See that nothing is wider than the window. Raises AssertionError."""
        wide: list[str] = await self.page.evaluate(_TOO_WIDE)
        assert not wide, f"wider than the window: {wide}"


_TOO_WIDE = """() => {
    const width = document.documentElement.clientWidth;
    if (document.scrollingElement.scrollWidth <= width) return [];
    return [...document.querySelectorAll("main *")]
        .filter((each) => each.getBoundingClientRect().right > width + 1)
        .map((each) => `${each.tagName} ${each.className} ${each.id}`).slice(0, 8);
}"""


class Visits:
    """Opens pages. Those of one `Visits` share nothing: each has cookies and a theme of its own."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._visits: list[Visit] = []

    async def open(
        self, url: str, *, width: Width = 1280, theme: Theme = "light", scripts: bool = True
    ) -> Visit:
        """Open a URL. Its origin is the only one that the page may ask."""
        context = await self._browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=theme,
            java_script_enabled=scripts,
            reduced_motion="reduce",
        )
        context.set_default_timeout(TIMEOUT)
        page = await context.new_page()
        visit = Visit(page, await Record.of(page, url))
        self._visits.append(visit)
        await page.goto(url)
        return visit

    async def end(self) -> None:
        """See that no page had problems, and close all. Raises AssertionError."""
        try:
            for visit in self._visits:
                await visit.check()
        finally:
            for visit in self._visits:
                await visit.page.context.close()

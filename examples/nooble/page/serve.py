"""`relevo demo --platform --serve`: keeps the platform up, and serves its page."""

import asyncio
import sys
import webbrowser

from relevo_cli.progress import showing
from relevo_web.asset_files import MissingAssetsError
from relevo_web.serving import listen, until_stopped

from nooble.page.app import FIRST, PlatformPage

PORT = 8391
"""The port, if it is not asked for."""


def run(*, port: int = PORT, opens: bool = False) -> int:
    """Serve the page until SIGINT or SIGTERM; `opens` opens it in the browser.

    Returns 0, or 1 if the page or its first platform cannot start.
    """
    try:
        return asyncio.run(_run(port, opens=opens))
    except MissingAssetsError as error:
        print(f"relevo demo: {error}", file=sys.stderr)
    except OSError as error:
        print(f"relevo demo: port {port}: {error.strerror}; choose another by --port",
              file=sys.stderr)  # fmt: skip
    return 1


async def _run(port: int, *, opens: bool) -> int:
    page = PlatformPage()
    async with page.platforms, page.serving(listen(port=port)) as url:
        print(f"Relevo platform: {url}", flush=True)
        if opens:
            await asyncio.to_thread(webbrowser.open, url)
        stopping = asyncio.create_task(until_stopped())
        starting = asyncio.create_task(_start(page))
        await asyncio.wait((stopping, starting), return_when=asyncio.FIRST_COMPLETED)
        if not stopping.done() and starting.result():
            await stopping
        starting.cancel()
        stopping.cancel()
        failed = page.platforms[FIRST].state == "failed"
    return int(failed)


async def _start(page: PlatformPage) -> bool:
    """Start the first mode, and show the progress. Returns whether it runs."""
    platform = page.platforms.started(FIRST)
    with page.subscribed() as changed, showing("processes started", platform.total) as progress:
        shown = 0
        while platform.state == "starting":
            await changed.wait()
            changed.clear()
            for _ in range(platform.started - shown):
                progress.advance()
            shown = max(shown, platform.started)
    if platform.state == "failed":
        print(f"relevo demo: {platform.problem}", file=sys.stderr)
        return False
    print(f"The platform runs. Its store: relevo console --target {platform.store}", flush=True)
    print("Ctrl-C stops all of it.", flush=True)
    return True

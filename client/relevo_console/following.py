"""Follows changes for one page: by a stream while they are few, else by a question a second.

Every change of a stream costs the server a read of its log and a message: at 500 a second, 4 to 14
percent of a core. A question for the last 50 costs it the same whether there were 50 or 10,000.
So a stream that brings more than a person can read is left, and taken up again once it is calm.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass

from relevo_console.problems import Kind, StoreCallError
from relevo_console.store import Viewer
from relevo_console.views.changes import Selection
from relevo_console.views.recent import SHOWN, Recent, Update

_AT_FIRST = 20
"""The changes of a page that is opened: each is a message, for which a busy server takes a turn."""
_ASKED = 50
"""The most changes that one question is about."""
_CALM = 30.0
"""Changes a second below which a stream is cheap."""
_FAST = 60.0
"""Changes a second from which it is not."""
_ENDS = {Kind.SIGN_IN, Kind.ROLE, Kind.TENANT}
"""Problems that no attempt mends."""


@dataclass(frozen=True)
class Pace:
    """The pauses of a follower, in seconds."""

    collect: float = 0.5
    """After the first change until the page is told: so many changes become one update."""
    ask: float = 1.0
    """Between two questions, while changes come fast."""
    over: float = 2.0
    """Without a change, until the page is told that they are over."""
    retry: float = 1.0
    """After a failure."""
    calm: int = 5
    """The number of calm answers after which the stream is taken up again."""


async def past(viewer: Viewer, selection: Selection) -> Update:
    """The last changes so far, to begin a page with. Raises StoreCallError."""
    recent = Recent(selection)
    await _read_past(viewer, selection, recent, _AT_FIRST)
    return recent.update()


async def _read_past(viewer: Viewer, selection: Selection, recent: Recent, limit: int) -> None:
    request = selection.request(after=0, limit=limit, follow=False)
    async with aclosing(viewer.changes(request)) as responses:
        async for response in responses:
            recent.add(response, 0.0, is_new=False)


class Follower:
    """Follows the changes of one selection."""

    def __init__(
        self,
        viewer: Viewer,
        selection: Selection,
        pace: Pace | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._viewer = viewer
        self._selection = selection
        self._pace = pace or Pace()
        self._clock = clock
        self._recent = Recent(selection)
        self.is_streaming = False
        """Whether the server pushes changes now, rather than being asked."""

    async def updates(self) -> AsyncGenerator[Update, None]:
        """The page's updates. Raises StoreCallError once the viewer has lost the right."""
        is_first = True
        while True:
            try:
                if is_first:
                    await _read_past(self._viewer, self._selection, self._recent, SHOWN)
                    is_first = False
                    yield self._recent.update()
                    if self._recent.is_full and self._recent.density >= _FAST:
                        # Many were written lately: a stream would be left at once.
                        async for update in self._asked():
                            yield update
                async for update in self._streamed():
                    yield update
                async for update in self._asked():
                    yield update
            except StoreCallError as problem:
                if problem.kind in _ENDS:
                    raise
                yield self._recent.update(problem.text)
                await asyncio.sleep(self._pace.retry)

    async def _streamed(self) -> AsyncGenerator[Update, None]:
        """Updates from a stream, until it brings too much."""
        news = asyncio.Event()
        reading = asyncio.create_task(self._read(news))
        self.is_streaming = True
        try:
            yield self._recent.update()  # a problem before is over
            rate = 0.0
            while not reading.done():
                heard = asyncio.create_task(news.wait())
                # A rate that has been told is told again once it is over.
                patience = self._pace.over if rate else None
                try:
                    await asyncio.wait(
                        (heard, reading), timeout=patience, return_when=asyncio.FIRST_COMPLETED
                    )
                finally:
                    heard.cancel()
                await asyncio.sleep(self._pace.collect)
                news.clear()
                rate = self._recent.measured(self._clock())
                yield self._recent.update()
                if rate >= _FAST:
                    return
            reading.result()  # raises what ended the stream
        finally:
            self.is_streaming = False
            reading.cancel()
            with suppress(asyncio.CancelledError, StoreCallError):
                await reading

    async def _read(self, news: asyncio.Event) -> None:
        request = self._selection.request(after=self._recent.after, limit=SHOWN, follow=True)
        async with aclosing(self._viewer.changes(request)) as responses:
            async for response in responses:
                self._recent.add(response, self._clock())
                news.set()

    async def _asked(self) -> AsyncGenerator[Update, None]:
        """Updates from questions, until changes are few."""
        calm = 0
        last = self._clock()
        while calm < self._pace.calm:
            await asyncio.sleep(self._pace.ask)
            request = self._selection.request(after=self._recent.after, limit=_ASKED, follow=False)
            async with aclosing(self._viewer.changes(request)) as responses:
                found = [response async for response in responses]
            now = self._clock()
            rate = self._recent.add_page(found, _ASKED, max(now - last, 0.001), now)
            last = now
            calm = calm + 1 if rate < _CALM else 0
            yield self._recent.update()

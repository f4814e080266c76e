"""An instrumented call costs what an explicit one costs: it runs the same functions."""

import asyncio
import sys
import threading
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

import pytest
import relevo_client
from relevo_client import ContextEntry, use_context
from support.clients.caching import until_known
from support.clients.callers import calling
from support.instrumenting import Instrument
from support.servers.hosting import SERVICE, StoreClients, hosted
from support.servers.scenes import Scene
from support.servers.shapes import SHAPES, Kind

_OURS = str(relevo_client.__path__[0])
_CALLS = 9


class Functions:
    """How often a call runs each function of Relevo's, in threads that begin while it counts."""

    def __init__(self) -> None:
        self.now = Counter[str]()

    def count(self, frame: FrameType, event: str, _: object) -> None:
        """Count a call of a function. A coroutine counts each time that it goes on."""
        file = frame.f_code.co_filename
        # How often a key is hashed depends on the state of a client's dicts.
        is_ours = file.startswith(_OURS) and frame.f_code.co_name != "__hash__"
        if event == "call" and is_ours:
            self.now[f"{file.removeprefix(_OURS)}:{frame.f_code.co_qualname}"] += 1

    async def settled(self) -> Counter[str]:
        """The counts, once they no longer change."""
        known = Counter[str]()
        while known != self.now:
            known = self.now.copy()
            await asyncio.sleep(0.02)
        return known

    @contextmanager
    def counting(self) -> Generator[None, None, None]:
        """Count within a `with` block."""
        before = sys.getprofile()
        threading.setprofile(self.count)
        sys.setprofile(self.count)
        try:
            yield
        finally:
            sys.setprofile(before)
            threading.setprofile(None)


async def of_one_call(
    kind: Kind, entry: ContextEntry, interceptors: list[object], *, wrapped: bool
) -> Counter[str]:
    """The functions that a call runs on both sides, with a cached context: those of most calls.

    The end of a blocking handler may come after its answer, and the cache's stream in between.
    """
    shape = next(each for each in SHAPES if (each.server, each.arity) == (kind, "unary_unary"))
    scene, functions = Scene(), Functions()
    methods = {"Do": (shape.arity, shape.make(scene))}
    counted: list[Counter[str]] = []
    with functions.counting():
        async with (
            hosted(kind, methods, interceptors=interceptors) as host,
            calling(kind, host.address, interceptors=(), wrapped=wrapped) as caller,
        ):
            call = caller.channel.unary_unary(f"/{SERVICE}/Do")
            with use_context(entry):
                for _ in range(1 + _CALLS):
                    functions.now.clear()
                    answer = call(b"?")
                    if kind == "asyncio":
                        await answer
                    counted.append(await functions.settled())
    assert set(scene.seen) == {f"u-1 {entry.ref}"}
    return max(counted[1:], key=counted[1:].count)


@pytest.mark.parametrize("kind", ["blocking", "asyncio"])
async def test_the_same_functions_run(
    instrumented: Instrument, clients: StoreClients, entry: ContextEntry, kind: Kind
) -> None:
    """No function runs for an instrumented call that does not run for an explicit one."""
    await until_known(clients, entry.ref)
    interceptor = clients.interceptor(kind, trust_callers=True)
    explicit = await of_one_call(kind, entry, [interceptor], wrapped=True)
    mine = instrumented(trust_callers=True)
    await until_known(StoreClients(mine.client(), mine.aio_client()), entry.ref)
    wired = await of_one_call(kind, entry, [], wrapped=False)
    assert explicit.total() > 5
    assert wired == explicit

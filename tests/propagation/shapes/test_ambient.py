"""No ambient context reaches a handler, and no context of a handler remains after it."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from relevo_client import ContextEntry, current_ref, filters, use_context
from support.clients.callers import Caller, calling
from support.clients.plays import naming
from support.entries import entry_of
from support.servers.hosting import SERVICE, StoreClients, hosted
from support.servers.scenes import NOBODY, Scene
from support.servers.shapes import SHAPES, Shape

each_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)

AMBIENT = entry_of("ambient")


class Careless(Scene):
    """A handler that makes a context of its own current after each look, and never resets it."""

    def __init__(self) -> None:
        super().__init__()
        self._blocks: list[Any] = []

    def see(self) -> bytes:
        """Look, then make the own context current."""
        item = super().see()
        self.enter()
        return item

    def enter(self) -> None:
        """Enter a block without leaving it."""
        self._blocks.append(use_context(AMBIENT))
        self._blocks[-1].__enter__()


async def seen_of(caller: Caller, shape: Shape, scene: Scene, **options: Any) -> set[str]:
    """The one result of all looks of a call's handler."""
    scene.seen.clear()
    await caller.outcome(shape.arity, caller.begin(shape.arity, **options))
    return set(scene.seen)


@pytest.mark.parametrize("exempt", [False, True], ids=["", "exempt"])
@each_shape
async def test_what_was_current_when_the_server_started(
    clients: StoreClients, shape: Shape, exempt: bool
) -> None:
    """A server that is built and started under a context passes it to no handler, exempt or not."""
    rules = {"exempt": filters.service(SERVICE)} if exempt else {}
    scene = Scene()
    methods = {"Do": (shape.arity, shape.make(scene))}
    with use_context(AMBIENT):
        interceptor = clients.interceptor(shape.server, trust_callers=True, **rules)
        async with hosted(shape.server, methods, interceptors=[interceptor]) as host:
            with use_context(None):
                async with calling("blocking", host.address) as caller:
                    assert await seen_of(caller, shape, scene) == {NOBODY}


@each_shape
async def test_what_is_current_in_the_servers_thread(
    clients: StoreClients, entry: ContextEntry, shape: Shape
) -> None:
    """A context that is current in a server's thread is not a call's, and stays there."""
    careless, scene = Careless(), Scene()
    methods = {"Do": (shape.arity, shape.make(scene))}
    interceptor = clients.interceptor(shape.server, trust_callers=True)
    async with (
        hosted(shape.server, methods, interceptors=[interceptor]) as host,
        calling("blocking", host.address) as caller,
    ):
        await asyncio.to_thread(host.pool.submit(careless.enter).result)
        assert await seen_of(caller, shape, scene) == {NOBODY}
        found = await seen_of(caller, shape, scene, metadata=naming(entry.ref))
        assert found == {f"u-1 {entry.ref}"}
        assert await asyncio.to_thread(host.pool.submit(current_ref).result) == AMBIENT.ref


@each_shape
async def test_a_handler_that_sets_its_own(
    clients: StoreClients, entry: ContextEntry, shape: Shape
) -> None:
    """A context that a handler makes current ends with its call."""
    careless, next_scene = Careless(), Scene()
    methods = {
        "Do": (shape.arity, shape.make(careless)),
        "Next": (shape.arity, shape.make(next_scene)),
    }
    interceptor = clients.interceptor(shape.server, trust_callers=True)
    async with (
        hosted(shape.server, methods, interceptors=[interceptor]) as host,
        calling("blocking", host.address) as caller,
    ):
        call = caller.begin(shape.arity, metadata=naming(entry.ref))
        await caller.outcome(shape.arity, call)
        # From its second look on it saw its own context, across items too, with the call's fence:
        # it is of the same tenant.
        assert careless.seen[0] == f"u-1 {entry.ref}"
        own = replace(AMBIENT.ref, revision=entry.revision)
        assert set(careless.seen[1:]) == {f"ambient {own}"}
        call = caller.begin(shape.arity, "Next")
        await caller.outcome(shape.arity, call)
        assert set(next_scene.seen) == {NOBODY}
        assert await asyncio.to_thread(host.pool.submit(current_ref).result) is None
    assert current_ref() is None

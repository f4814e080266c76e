"""Instruments the process of a test, and looks at what that changes."""

from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeAlias, cast

import pytest
from relevo_client import ContextEntry, Instrumentation, use_context

from support.clients.callers import Caller
from support.servers.hosting import SERVICE
from support.servers.scenes import Scene
from support.servers.shapes import SHAPES, Kind

Instrument: TypeAlias = Callable[..., Instrumentation]
"""Instruments the process, with the test's store as the target, until the test has ended."""

each_kind = pytest.mark.parametrize("kind", ["blocking", "asyncio"])

CLASSES = (
    ("grpc._channel", "Channel"),
    ("grpc.aio._channel", "Channel"),
    ("grpc._server", "_Server"),
    ("grpc.aio._server", "Server"),
    ("starlette.applications", "Starlette"),
    ("faststream._internal.broker", "BrokerUsecase"),
)
"""The classes that may be patched, by module and name."""


def attributes() -> dict[str, dict[str, Any]]:
    """The attributes of all of these classes."""
    return {
        f"{module}.{name}": dict(vars(cast("type", getattr(import_module(module), name))))
        for module, name in CLASSES
    }


def methods_of(kind: Kind, scene: Scene, *names: str) -> Any:
    """Methods of a server, whose handlers play a scene."""
    shape = next(each for each in SHAPES if (each.server, each.arity) == (kind, "unary_unary"))
    return {name: ("unary_unary", shape.make(scene)) for name in names or ("Do",)}


def opened(channel: Any) -> Any:
    """The method of a channel, to be called with bytes."""
    return channel.unary_unary(f"/{SERVICE}/Do")


async def seen(caller: Caller, scene: Scene, entry: ContextEntry, **where: Any) -> str:
    """The context that a handler sees if it is called with this entry current."""
    scene.seen.clear()
    with use_context(entry):
        call = caller.begin("unary_unary", **where)
    await caller.outcome("unary_unary", call)
    return scene.seen[0]

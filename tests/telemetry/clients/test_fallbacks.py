"""Fallbacks count by the policy's case and by what was done, on every kind of server."""

from collections.abc import Sequence
from typing import Any

import pytest
from relevo_client import CacheOptions, ContextKey, ContextRef, ExecutionContext, Fallback, Policy
from relevo_client.testing import LocalStore
from support.clients.caching import caching, until_known
from support.clients.lost_contexts import (
    DOWN,
    INCOMPLETE,
    NO_REFERENCE,
    NOT_FOUND,
    TOO_OLD,
    Cause,
)
from support.clients.plays import UNARY_SHAPES, naming, play
from support.servers.shapes import Shape
from support.telemetry.recorded import Figures, Meters

FALLBACKS = "relevo.client.fallbacks"
CAUSES = (NO_REFERENCE, NOT_FOUND, INCOMPLETE, TOO_OLD, DOWN)

each_shape = pytest.mark.parametrize("shape", UNARY_SHAPES, ids=str)


async def counted(
    meters: Meters, shape: Shape, clients: Any, ref: ContextRef | None, policy: Policy
) -> Figures:
    """What one call with this reference adds to the metrics."""
    interceptor = clients.interceptor(shape.server, trust_callers=True, policy=policy)
    before = meters.figures()
    await play(shape, interceptor, naming(ref) if ref else [])
    return meters.figures().since(before)


def only(figures: Figures, case: str, done: str) -> bool:
    """Whether exactly one fallback was counted: this one."""
    about = {"relevo__fallback__case": case, "relevo__fallback": done}
    return figures.total(FALLBACKS, **about) == figures.total(FALLBACKS) == 1


def failing(_: object) -> ExecutionContext:
    """A policy's function that fails."""
    raise LookupError


def empty(_: object) -> ExecutionContext:
    """A policy's function that makes a context."""
    return ExecutionContext()


WAYS: Sequence[tuple[Any, str]] = (
    (Fallback.REJECT, "reject"),
    (Fallback.PROCEED, "proceed"),
    (empty, "rebuild"),
    (failing, "reject"),
)


@each_shape
@pytest.mark.parametrize("cause", CAUSES, ids=str)
async def test_each_case(store: LocalStore, meters: Meters, shape: Shape, cause: Cause) -> None:
    """Each case counts under its name in the policy, with what was done, not with what failed."""
    async with cause.lose(store) as loss:
        for way, done in WAYS:
            figures = await counted(meters, shape, loss.clients, loss.ref, cause.handled(way))
            assert only(figures, cause.policy, done), done
            rebuilt = figures.total(
                "relevo.client.resolutions",
                relevo__context__source="fallback",
                relevo__outcome="ok",
            )
            assert rebuilt == (done == "rebuild")


@each_shape
async def test_last_known(store: LocalStore, meters: Meters, shape: Shape) -> None:
    """The last known copy counts as one if there is one, else the call is rejected."""
    policy = Policy(too_old=Fallback.LAST_KNOWN)
    key = ContextKey("conversation", "acme", "c-1")
    ref = store.client.put(key, ExecutionContext(user_id="u"))
    ahead = ContextRef(key, ref.revision + (3_600_000 << 20))
    async with caching(store.address, CacheOptions()) as clients:
        figures = await counted(meters, shape, clients, ahead, policy)
        assert only(figures, "too_old", "reject")
        await until_known(clients, ref)
        figures = await counted(meters, shape, clients, ahead, policy)
    assert only(figures, "too_old", "last_known")
    sources = {"relevo__context__source": "last_known", "relevo__outcome": "ok"}
    assert figures.total("relevo.client.resolutions", **sources) == 1

"""If a section does not fit a handler's model, its call ends with a typed status."""

import asyncio
import logging
import uuid
from typing import Any

import pytest
from grpc import StatusCode
from pydantic import BaseModel
from relevo_client import ContextEntry, ContextKey, ExecutionContext, settings
from relevo_client.testing import LocalStore
from support.clients.plays import naming
from support.servers.asking import Asking, logged, outcome_of
from support.servers.hosting import StoreClients
from support.servers.shapes import SHAPES, Shape

INVALID = StatusCode.FAILED_PRECONDITION, "the call's context has an invalid section"
ITEMS = 3
SECRET = "what-nobody-is-told"  # noqa: S105 - no password


class RagConfig(BaseModel):
    """The model of the handlers."""

    top_k: int


@pytest.fixture
def entry(store: LocalStore) -> ContextEntry:
    """An entry whose section does not fit, of this test alone: each fault is logged once."""
    key = ContextKey("agent_config", "acme", uuid.uuid4().hex)
    store.client.put(key, ExecutionContext(rag_config={"top_k": SECRET}))
    return store.client.get(key)


@pytest.mark.parametrize("after", [0, ITEMS], ids=["at once", "amid its items"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
async def test_a_section_that_does_not_fit(
    clients: StoreClients,
    caplog: pytest.LogCaptureFixture,
    entry: ContextEntry,
    shape: Shape,
    after: int,
) -> None:
    """FAILED_PRECONDITION with a fixed text, after the answers that were sent.

    The service's log says which value of which entry it is, and what the rule is.
    """
    caplog.set_level(logging.DEBUG)
    behaviour = Asking(shape, lambda: settings(RagConfig), after=after).behaviour
    over = await outcome_of(shape, behaviour, clients, *naming(entry.ref))
    assert (over.code, over.details) == INVALID
    assert over.trailing == []
    assert over.items == (["item"] * after if shape.streams else [])
    (line,) = logged(caplog)
    assert f"rag_config.top_k of {entry.key}: Input should be a valid integer" in line
    assert SECRET not in caplog.text


async def test_a_group_of_tasks(
    clients: StoreClients, caplog: pytest.LogCaptureFixture, entry: ContextEntry
) -> None:
    """A TaskGroup whose tasks all ask for it ends its call so; the fault is logged once."""

    async def handler(_: Any, __: Any) -> bytes:
        async def ask() -> None:
            settings(RagConfig)

        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(ask())
        return b""

    (shape,) = [
        each for each in SHAPES if each.arity == "unary_unary" and each.make.__name__ == "coroutine"
    ]
    for _ in range(3):
        over = await outcome_of(shape, handler, clients, *naming(entry.ref))
        assert (over.code, over.details) == INVALID
    assert len(logged(caplog)) == 1

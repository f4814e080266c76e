"""Keys as values: equal, hashed and pickled by their parts."""

import copy
import pickle
from collections.abc import Callable, Iterator
from operator import methodcaller
from typing import Any

import pytest
from relevo_client import ContextKey, ContextRef, ExecutionContext
from relevo_client.testing import LocalStore
from support.clients.either import KINDS, opened
from support.servers.shapes import Kind
from support.waiting import until_async

KEY = ContextKey("conversation", "acme", "c-1")


def _pickled(key: ContextKey) -> ContextKey:
    read: ContextKey = pickle.loads(pickle.dumps(key))  # noqa: S301 - ours
    return read


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, _pickled], ids=lambda f: f.__name__)
def test_copies_are_the_same_key(copied: Callable[[ContextKey], ContextKey]) -> None:
    """A copy of a key is equal, has the same hash, and finds the same value."""
    assert copied(KEY) == KEY
    assert {KEY: 1}[copied(KEY)] == 1
    assert copied(KEY).text == KEY.text


def test_a_pickled_key_has_its_parts_only() -> None:
    """A key's hash is computed anew in another process, where the same text has another hash."""
    assert len({KEY, ContextKey.parse(KEY.text)}) == 1
    assert pickle.dumps(KEY) == pickle.dumps(ContextKey(KEY.scope, KEY.tenant_id, KEY.id))


@pytest.fixture(scope="module")
def store() -> Iterator[LocalStore]:
    """A store."""
    with LocalStore() as store:
        yield store


CALLS: dict[str, tuple[Any, ...]] = {
    "peek": (),
    "last_known": (),
    "resolve": (),
    "turn_entry": (),
    "get": (),
    "put": (ExecutionContext(),),
    "update": ({"user_id": "u"},),
    "invalidate": (),
    "get_or_create": (ExecutionContext,),
}
"""The methods that take a key, and their further arguments."""


def calls_with(key: Any) -> Iterator[Callable[[Any], Any]]:
    """Each of these calls of a client, with this as the key."""
    for name, rest in CALLS.items():
        yield methodcaller(name, key, *rest)
    yield methodcaller("batch_get", [key])


@pytest.mark.parametrize("kind", KINDS)
async def test_a_text_is_no_key(store: LocalStore, kind: Kind) -> None:
    """Each call refuses a key's text by name, and the client goes on: its cache still works."""
    store.client.put(KEY, ExecutionContext(user_id="u"))
    async with opened(kind, store.address, timeout=10) as client:
        for call in calls_with(KEY.text):
            with pytest.raises(TypeError, match="must be a ContextKey, and is str"):
                await client.ask(call)
        await client.ask(lambda c: c.resolve(KEY))
        await until_async(lambda: client.peek(KEY) is not None)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_dict_is_no_context(store: LocalStore, kind: Kind) -> None:
    """A Put of a dict is refused: its names and values are not those of a validated context."""
    async with opened(kind, store.address, timeout=10) as client:
        with pytest.raises(TypeError, match="must be an ExecutionContext, and is dict"):
            await client.ask(lambda c: c.put(KEY, {"llm_confg": {}}))


def test_a_reference_has_a_key() -> None:
    """A reference to a text is refused when it is made."""
    with pytest.raises(TypeError, match="must be a ContextKey, and is str"):
        ContextRef(KEY.text)  # type: ignore[arg-type]

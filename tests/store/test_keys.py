"""Keys: any text of up to 256 bytes in each part, and no two keys are confused."""

from itertools import permutations

import pytest
from relevo.v1.context_pb2 import ContextKey
from relevo_server.settings import Settings
from support.clients.calls import (
    Stub,
    batch_get,
    context,
    get,
    invalidate,
    invalidate_tenant,
    is_alive,
    key,
    put,
)
from support.servers.serving import serving

TEXTS = (
    "a:b",
    ":",
    "a%3Ab",
    "%",
    "%25",
    " ",
    " a ",
    "a/b\\c",
    "{a}",
    "}{",
    "*?[a-z]",
    "'\"`$",
    "größe",
    "日本語",
    "😀",
    "a\u0301",  # a and an accent, two characters
    "\u00e1",  # the same as one
    "\u200b",
    "x" * 256,
    "é" * 128,  # 256 bytes
)


@pytest.mark.parametrize("field", ["scope", "tenant_id", "id"])
async def test_any_text_is_a_part_of_a_key(stub: Stub, field: str) -> None:
    """Put, Get, BatchGet and Invalidate accept any text in a key, and return exactly that key."""
    keys: list[ContextKey] = []
    for text in TEXTS:
        named = key()
        setattr(named, field, text)
        keys.append(named)
        assert (await put(stub, named, context(user_id=text))).entry.key == named
    for result, named, text in zip(await batch_get(stub, *keys), keys, TEXTS, strict=True):
        assert result.response.entry.key == named
        assert result.response.entry.context.user_id == text
    for i, named in enumerate(keys):
        assert (await invalidate(stub, named)).invalidated_count == 1
        alive = [await is_alive(stub, each) for each in keys[i : i + 2]]
        assert alive == [False, True][: len(alive)]


async def test_no_part_can_forge_another(settings: Settings) -> None:
    """Keys whose parts, joined, look like those of other keys are still different keys.

    They share one partition, so that only their names keep them apart.
    """
    parts = ("a", "a:b", "b", "a%3Ab", "b:a", "a::b")
    keys = [key(name, tenant=tenant, scope=scope) for scope, tenant, name in permutations(parts, 3)]
    async with serving(settings.model_copy(update={"partitions": 1})) as stub:
        for i, each in enumerate(keys):
            await put(stub, each, context(user_id=str(i)))
        for start in range(0, len(keys), 100):
            part = keys[start : start + 100]
            for i, result in enumerate(await batch_get(stub, *part), start):
                assert result.response.entry.context.user_id == str(i)


@pytest.mark.parametrize("tenant", TEXTS)
async def test_any_text_is_a_tenant_to_end(stub: Stub, tenant: str) -> None:
    """Floors work for any text as tenant and scope."""
    named = key(tenant=tenant, scope=tenant)
    await put(stub, named)
    await put(stub, key(tenant=tenant))
    await invalidate_tenant(stub, tenant, tenant)
    assert not await is_alive(stub, named)
    assert await is_alive(stub, key(tenant=tenant))
    await invalidate_tenant(stub, tenant)
    assert not await is_alive(stub, key(tenant=tenant))


async def test_text_is_not_normalized(stub: Stub) -> None:
    """Two spellings of one character are two keys: a key is its bytes."""
    await put(stub, key("a\u0301"), context(user_id="two"))
    await put(stub, key("\u00e1"), context(user_id="one"))
    assert (await get(stub, key("a\u0301"))).entry.context.user_id == "two"

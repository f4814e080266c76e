"""Update masks: the named fields are set or cleared, all others stay."""

from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode
from relevo.v1.context_pb2 import ExecutionContext
from relevo_server.settings import Settings
from support.clients.calls import (
    Stub,
    context,
    get,
    invalidate,
    is_alive,
    key,
    masked,
    put,
    seconds,
)
from support.failures import failure_of
from support.servers.serving import serving

BEFORE = context(
    user_id="u1",
    agent_id="a1",
    llm_config={
        "model": "m1",
        "top-p": 0.5,
        "a.b": 1,
        "back`tick": 1,
        "limits": {"tokens": 1000, "calls": {"day": 7}},
    },
    rag_config={"top_k": 5},
    includes=[key("a1", scope="agent_config")],
)


def after(**changes: Any) -> ExecutionContext:
    """`BEFORE` with these fields replaced."""
    changed = ExecutionContext()
    changed.CopyFrom(BEFORE)
    for field in changes:
        changed.ClearField(field)
    changed.MergeFrom(context(**changes))
    return changed


def llm_config(**changes: Any) -> dict[str, Any]:
    """`BEFORE`'s llm_config with other values; None clears a key."""
    section: dict[str, Any] = {
        "model": "m1",
        "top-p": 0.5,
        "a.b": 1,
        "back`tick": 1,
        "limits": {"tokens": 1000, "calls": {"day": 7}},
        **changes,
    }
    return {name: value for name, value in section.items() if value is not None}


NEXT = {"model": "m2", "stop": ["x", None], "top-p": 0.9, "a.b": 2, "back`tick": 2, " ": 3}
NESTED = {"limits": {"tokens": 1, "calls": {"hour": 2}}, "model": {"name": {"short": "m"}}}


@pytest.mark.parametrize(
    "paths, source, expected",
    [
        pytest.param(["user_id"], {"user_id": "u2", "agent_id": "x"}, {"user_id": "u2"}, id="set"),
        pytest.param(["user_id"], {"agent_id": "x"}, {"user_id": ""}, id="clear"),
        pytest.param(
            ["user_id", "agent_id"], {"user_id": "u2"}, {"user_id": "u2", "agent_id": ""}, id="both"
        ),
        pytest.param(
            ["rag_config"], {"rag_config": {"k": 1}}, {"rag_config": {"k": 1}}, id="section"
        ),
        pytest.param(["rag_config"], {}, {"rag_config": None}, id="clear section"),
        pytest.param(
            ["metadata"], {"metadata": {}}, {"metadata": {}}, id="an empty section is a section"
        ),
        pytest.param(
            ["llm_config.model"],
            {"llm_config": NEXT},
            {"llm_config": llm_config(model="m2")},
            id="replace a key",
        ),
        pytest.param(
            ["llm_config.stop"],
            {"llm_config": NEXT},
            {"llm_config": llm_config(stop=["x", None])},
            id="add a key",
        ),
        pytest.param(
            ["llm_config.model"], {}, {"llm_config": llm_config(model=None)}, id="clear a key"
        ),
        pytest.param(["llm_config.none"], {}, {}, id="clear a key that is not there"),
        pytest.param(["metadata.a.b"], {}, {}, id="clear within a section that is not there"),
        pytest.param(
            ["metadata.a"], {"metadata": {"a": 1}}, {"metadata": {"a": 1}}, id="key makes section"
        ),
        pytest.param(
            ["llm_config.limits.tokens"],
            {"llm_config": NESTED},
            {"llm_config": llm_config(limits={"tokens": 1, "calls": {"day": 7}})},
            id="replace a nested key",
        ),
        pytest.param(
            ["llm_config.limits.calls.hour"],
            {"llm_config": NESTED},
            {"llm_config": llm_config(limits={"tokens": 1000, "calls": {"day": 7, "hour": 2}})},
            id="add a nested key",
        ),
        pytest.param(
            ["llm_config.limits.calls.day"],
            {"llm_config": NESTED},
            {"llm_config": llm_config(limits={"tokens": 1000, "calls": {}})},
            id="clear a nested key",
        ),
        pytest.param(
            ["llm_config.limits"],
            {"llm_config": NESTED},
            {"llm_config": llm_config(limits=NESTED["limits"])},
            id="replace a whole object",
        ),
        pytest.param(
            ["llm_config.model.name.short"],
            {"llm_config": NESTED},
            {"llm_config": llm_config(model={"name": {"short": "m"}})},
            id="an object replaces a scalar that is in its way",
        ),
        pytest.param(
            ["llm_config.model.name.long"],
            {"llm_config": NESTED},
            {},
            id="there is nothing to clear within a scalar",
        ),
        pytest.param(
            ["llm_config.`top-p`"],
            {"llm_config": NEXT},
            {"llm_config": llm_config(**{"top-p": 0.9})},
            id="backticks",
        ),
        pytest.param(
            ["llm_config.`a.b`"],
            {"llm_config": NEXT},
            {"llm_config": llm_config(**{"a.b": 2})},
            id="a dot in backticks",
        ),
        pytest.param(
            ["llm_config.`back``tick`"],
            {"llm_config": NEXT},
            {"llm_config": llm_config(**{"back`tick": 2})},
            id="a backtick in backticks",
        ),
        pytest.param(
            ["llm_config.` `"],
            {"llm_config": NEXT},
            {"llm_config": llm_config(**{" ": 3})},
            id="a space in backticks",
        ),
        pytest.param(
            ["llm_config.`größe`"],
            {"llm_config": {"größe": 1}},
            {"llm_config": llm_config(größe=1)},
            id="non-ASCII in backticks",
        ),
        pytest.param(
            ["llm_config.``"],
            {"llm_config": {"": 1}},
            {"llm_config": llm_config(**{"": 1})},
            id="an empty key in backticks",
        ),
        pytest.param(
            ["`user_id`", "`llm_config`.`model`"],
            {"user_id": "u2", "llm_config": NEXT},
            {"user_id": "u2", "llm_config": llm_config(model="m2")},
            id="backticks that are not needed",
        ),
        pytest.param(
            ["metadata.a"], {"metadata": {"a": None}}, {"metadata": {"a": None}}, id="null is set"
        ),
        pytest.param(
            ["includes"],
            {"includes": [key("b1", scope="agent_config")]},
            {"includes": [key("b1", scope="agent_config")]},
            id="a list is replaced, not appended to",
        ),
        pytest.param(["includes"], {}, {"includes": []}, id="clear a list"),
        pytest.param(
            ["create_time"],
            {"create_time": Timestamp(seconds=5)},
            {"create_time": Timestamp(seconds=5)},
            id="a time",
        ),
        pytest.param(
            ["llm_config", "llm_config.model"],
            {"llm_config": {"model": "m2"}},
            {"llm_config": {"model": "m2"}},
            id="a section and a key of it",
        ),
    ],
)
async def test_a_mask_names_what_changes(
    stub: Stub, paths: list[str], source: dict[str, Any], expected: dict[str, Any]
) -> None:
    """A path sets what the request has there, and clears what the request lacks."""
    await put(stub, key(), BEFORE)
    written = await put(stub, key(), context(**source), update_mask=masked(*paths))
    entry = (await get(stub, key())).entry
    assert entry.version == written.revision
    entry.context.ClearField("update_time")
    if "create_time" not in expected:
        entry.context.ClearField("create_time")
    assert entry.context == after(**expected)


@pytest.mark.parametrize("paths", [[], ["*"]], ids=["no mask", "*"])
async def test_everything_is_replaced(stub: Stub, paths: list[str]) -> None:
    """Without a mask, or with `*`, the whole context is replaced; the entry need not exist."""
    for before in (BEFORE, context()):
        await put(stub, key(), before)
        await put(stub, key(), context(user_id="u2"), update_mask=masked(*paths))
        found = (await get(stub, key())).entry.context
        assert [field.name for field, _ in found.ListFields()] == [
            "user_id",
            "create_time",
            "update_time",
        ]
    await put(stub, key("new"), context(user_id="u2"), update_mask=masked(*paths))
    assert await is_alive(stub, key("new"))


async def test_a_mask_needs_an_entry(stub: Stub) -> None:
    """A masked Put to an entry that is absent or has ended is NOT_FOUND, and creates nothing."""
    failure = await failure_of(put(stub, key(), update_mask=masked("user_id")))
    assert (failure.code, failure.reason) == (StatusCode.NOT_FOUND, "NO_ENTRY")
    await put(stub, key())
    await invalidate(stub, key())
    failure = await failure_of(put(stub, key(), update_mask=masked("user_id")))
    assert failure.reason == "NO_ENTRY"
    assert not await is_alive(stub, key())


async def test_a_mask_may_have_a_condition(stub: Stub) -> None:
    """A masked Put with `if_version` succeeds only for the current version of a live entry."""
    first = (await put(stub, key(), BEFORE)).revision
    change = {"update_mask": masked("user_id"), "if_version": first}
    second = (await put(stub, key(), context(user_id="u2"), **change)).revision
    failure = await failure_of(put(stub, key(), context(user_id="u3"), **change))
    assert (failure.code, failure.reason) == (StatusCode.ABORTED, "VERSION_MISMATCH")
    assert failure.metadata["current_version"] == str(second)
    assert (await get(stub, key())).entry.context.user_id == "u2"
    await invalidate(stub, key())
    failure = await failure_of(put(stub, key(), context(user_id="u3"), **change))
    assert (failure.code, failure.metadata["current_version"]) == (StatusCode.ABORTED, "0")


async def test_a_mask_sets_the_time_to_live_anew(stub: Stub) -> None:
    """A masked Put restarts the entry's time: the request's, or else its scope's."""
    await put(stub, key(), BEFORE, ttl=seconds(60))
    written = await put(stub, key(), update_mask=masked("user_id"))
    assert written.entry.ttl.seconds == 1800
    await put(stub, key(), update_mask=masked("user_id"), ttl=seconds(30))
    assert 25 < (await get(stub, key())).entry.ttl.ToTimedelta().total_seconds() <= 30


async def test_the_merged_context_is_limited_too(settings: Settings) -> None:
    """The size limit applies to the merged context, not only to the fields in the request."""
    async with serving(settings.model_copy(update={"max_context_bytes": 100})) as stub:
        first = await put(stub, key(), context(llm_config={"a": "x" * 50}))
        failure = await failure_of(
            put(
                stub,
                key(),
                context(llm_config={"b": "x" * 50}),
                update_mask=masked("llm_config.b"),
            )
        )
        assert (failure.code, failure.reason) == (
            StatusCode.RESOURCE_EXHAUSTED,
            "CONTEXT_TOO_LARGE",
        )
        assert (await get(stub, key())).entry.version == first.revision
        await put(stub, key(), context(), update_mask=masked("llm_config.a"))

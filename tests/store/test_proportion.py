"""Work in proportion: what a message costs is bounded by what its caller may ask.

Each of these messages cost seconds, or hundreds of megabytes.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from google.protobuf.message import Message
from grpc import StatusCode
from hypothesis import example, given
from hypothesis import strategies as st
from relevo.v1.context_pb2 import ContextKey, ExecutionContext
from relevo.v1.store_pb2 import (
    BatchGetRequest,
    ContextKeys,
    GetRequest,
    InvalidateRequest,
    PutRequest,
    RequestBatch,
    WatchRequest,
)
from relevo_server.access.callers import ANYONE, Caller
from relevo_server.errors import StoreError
from relevo_server.wire import masks, requests
from relevo_server.wire.decoding import MAX_LIST_BYTES
from support.clients.calls import context, key, masked
from support.clients.hostile import empty_gets, empty_keys, many_includes, one_path
from support.contexts import of_size
from support.counted import calls_of

LIMITS = requests.PutLimits(256 << 10, 86_400_000)
NOBODY = Caller("nobody", frozenset(), ANYONE.grants)
ONE_PATH = one_path(2000)
INCLUDES = many_includes(9000)
NESTED = PutRequest(
    key=key(),
    context=context(llm_config={"a": {"b": {"c": "x" * 1000}}}),
    update_mask=masked("llm_config.a.b.c", "llm_config.a.b", "llm_config", "user_id"),
)
KEYS = empty_keys(100_000)
GETS = empty_gets(120_000)
WATCHES = WatchRequest(batch=RequestBatch(requests=[WatchRequest()] * 120_000))


def read_put(message: PutRequest) -> requests.Put:
    """Read a Put, as a server does."""
    return requests.read_put(message.SerializeToString(), ANYONE, LIMITS)


def patch_of(message: PutRequest) -> masks.Patch:
    """The parts that a Put with a mask writes."""
    content = read_put(message).content
    assert isinstance(content, masks.Patch)
    return content


def refusal(read: Callable[[], object]) -> StoreError:
    """The error that a function ends with."""
    with pytest.raises(StoreError) as caught:
        read()
    return caught.value


def steps(read: Callable[[], object]) -> int:
    """The number of functions that are called until a message is read or refused."""

    def tried() -> None:
        with suppress(StoreError):
            read()

    return calls_of(tried)


def fields(error: StoreError) -> list[object]:
    """The fields that an error names."""
    return [field for field, _ in error.violations]


def test_a_path_that_comes_many_times_is_one() -> None:
    """A mask's path is applied once, however often it is there."""
    assert patch_of(ONE_PATH).paths == [("llm_config", "prompt")]


def test_what_is_within_another_path_is_not_copied_twice() -> None:
    """Paths that go into what another path names are left out: each value is copied once."""
    assert patch_of(NESTED).paths == [("llm_config",), ("user_id",)]


PATHS = st.lists(
    st.sampled_from(["a", "a.b", "a.b.c", "a.b.d", "a.e", "ab", "b", "a.`b.c`"]).map(
        lambda path: f"llm_config.{path}"
    )
    | st.sampled_from(["llm_config", "user_id", "rag_config.a"]),
    min_size=1,
    max_size=6,
)
VALUES: list[Any] = [1, {}, {"b": 1}, {"b": {"c": 1}}, {"b": {"c": 2, "d": {}}, "e": [1]}]
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "a": st.sampled_from(VALUES),
    "ab": st.integers(0, 1),
    "b": st.integers(0, 1),
}
SECTIONS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries({}, optional=FIELDS)


@given(paths=PATHS, source=SECTIONS, target=SECTIONS)
@example(paths=["llm_config.a.b", "llm_config.a"], source={"a": 1}, target={"a": {"b": 1}})
def test_leaving_them_out_changes_nothing(
    paths: list[str], source: dict[str, Any], target: dict[str, Any]
) -> None:
    """The paths that are kept write what all of them would, one after the other."""
    new, old = context(user_id="new", llm_config=source), context(llm_config=target)
    one_by_one, at_once = ExecutionContext(), ExecutionContext()
    one_by_one.CopyFrom(old)
    at_once.CopyFrom(old)
    for path in paths:
        masks.apply(masks.parse([path]) or (), new, one_by_one)
    kept = masks.parse(paths)
    assert kept
    masks.apply(kept, new, at_once)
    assert at_once == one_by_one


@pytest.mark.parametrize(
    "paths, is_allowed",
    [
        ([f"llm_config.p{i}" for i in range(1000)], True),
        ([f"llm_config.p{i}" for i in range(1001)], False),
        (["llm_config." + "p" * ((64 << 10) - 15)], True),
        (["llm_config." + "p" * ((64 << 10) - 14)], False),
        ([""] * 33_000, False),
    ],
    ids=["1,000", "1,001", "64 KiB", "64 KiB and a byte", "many empty ones"],
)
def test_a_mask_has_a_limit(paths: list[str], is_allowed: bool) -> None:
    """A mask has at most 1,000 different paths, and 64 KiB."""
    message = PutRequest(key=key(), context=context(), update_mask=masked(*paths))
    if is_allowed:
        assert len(patch_of(message).paths) == len(paths)
    else:
        error = refusal(partial(read_put, message))
        assert (error.code, fields(error)) == (StatusCode.INVALID_ARGUMENT, ["update_mask"])


@pytest.mark.parametrize(
    "read, message",
    [
        (partial(requests.read_put, limits=LIMITS), ONE_PATH),
        (partial(requests.read_put, limits=LIMITS), INCLUDES),
        (requests.read_invalidate, KEYS),
        (requests.read_batch, GETS),
        (requests.read_watch, WATCHES),
    ],
    ids=["one path", "includes", "keys", "gets", "watches"],
)
@pytest.mark.parametrize("caller", [ANYONE, NOBODY], ids=["anyone", "a principal without tenants"])
def test_reading_a_message_takes_few_steps(
    read: Callable[..., object], message: Message, caller: Caller
) -> None:
    """Counts are checked before what is counted, so no message takes steps by the thousand."""
    serialized = message.SerializeToString()
    assert len(serialized) > 100_000
    assert steps(partial(read, serialized, caller)) < 5000


@pytest.mark.parametrize(
    "read, message",
    [(requests.read_batch, GETS), (requests.read_invalidate, KEYS), (requests.read_watch, WATCHES)],
    ids=["BatchGet", "Invalidate", "Watch"],
)
def test_long_lists_are_not_decoded(read: Callable[..., object], message: Message) -> None:
    """A request with a list is decoded up to 256 KiB only.

    An item of two bytes takes sixty in memory.
    """
    serialized = message.SerializeToString()
    longer = serialized + serialized
    assert len(longer) > MAX_LIST_BYTES
    error = refusal(partial(read, longer, ANYONE))
    assert (error.code, fields(error)) == (StatusCode.INVALID_ARGUMENT, ["request"])
    assert str(len(longer)) in error.message


def test_the_longest_allowed_list_is_far_below_that() -> None:
    """A hundred keys of the greatest length are read."""
    keys = [ContextKey(scope="s" * 256, tenant_id="t" * 256, id=f"{i:0256}") for i in range(100)]
    batch = BatchGetRequest(requests=[GetRequest(key=each) for each in keys])
    assert len(requests.read_batch(batch.SerializeToString(), ANYONE)) == 100
    target = InvalidateRequest(keys=ContextKeys(keys=keys), request_id="r" * 128)
    assert requests.read_invalidate(target.SerializeToString(), ANYONE)


LONG_CONTEXT = of_size(3 << 20)


@pytest.mark.parametrize(
    "message, reason, named",
    [
        (PutRequest(key=key(), context=LONG_CONTEXT), "CONTEXT_TOO_LARGE", []),
        (
            PutRequest(key=key(), context=context(), update_mask=masked("x" * (1 << 20))),
            "INVALID_FIELD",
            ["update_mask"],
        ),
        (PutRequest(key=key(), context=context(), request_id="x" * (1 << 20)), "INVALID_FIELD",
         ["request"]),
        (PutRequest(key=key("x" * (1 << 20)), context=context()), "INVALID_FIELD", ["request"]),
    ],
    ids=["context", "mask", "request_id", "key"],
)  # fmt: skip
def test_a_put_that_is_too_long_is_not_decoded(
    message: PutRequest, reason: str, named: list[str]
) -> None:
    """A Put of far more than a context and a mask may have is refused by what makes it so long."""
    error = refusal(partial(read_put, message))
    assert (error.reason, fields(error)) == (reason, named)
    assert steps(partial(read_put, message)) < 300


@pytest.mark.parametrize(
    "read, message",
    [
        (requests.read_invalidate, InvalidateRequest(keys=ContextKeys(keys=[key("")] * 101))),
        (requests.read_invalidate, InvalidateRequest(tenant={"tenant_id": "\0"})),
        (partial(requests.read_put, limits=LIMITS), PutRequest(key=key(), context=LONG_CONTEXT)),
    ],
    ids=["keys", "tenant", "a long put"],
)
def test_the_right_comes_before_the_rules(read: Callable[..., object], message: Message) -> None:
    """A caller who may not use the tenant is told this, whatever else is wrong."""
    assert refusal(partial(read, message.SerializeToString(), NOBODY)).reason == "TENANT_DENIED"
    assert refusal(partial(read, message.SerializeToString(), ANYONE)).reason != "TENANT_DENIED"

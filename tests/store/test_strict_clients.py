"""Every implementation of protobuf reads answers alike, even one that merges no repeated fields."""

from collections.abc import Callable

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st
from relevo.v1 import store_pb2
from relevo.v1.context_pb2 import ContextEntry, ContextRef, ExecutionContext
from relevo.v1.store_pb2 import (
    BatchGetRequest,
    Consistency,
    GetRequest,
    GetResponse,
    LeaseRequest,
    PutRequest,
    WatchRequest,
)
from relevo_server.keys import Key
from relevo_server.storage import Storage
from relevo_server.storage.interface import Stored, Write
from relevo_server.wire.entries import Entries, serialize
from support.clients.calls import TIMEOUT, Stub, context, get, invalidate, key, masked, put, seconds
from support.clients.strict import NotStrictError, check
from support.clients.watching import Watch
from support.strategies import sections, texts

AGENT = key("a1", scope="agent_config")
TIME = Timestamp(seconds=1_700_000_000, nanos=1000)
NEWER = b"\xfa\x3e\x05newer" + b"\x80\x3f\x07"
"""Fields 1007 and 1008, of a newer contract than this one."""

SOURCES = [ContextRef(key=key(), revision=1), ContextRef(key=AGENT, revision=2)]

CONTEXTS = {
    "empty": context(),
    "plain": context(user_id="u", llm_config={"model": "m", "stop": [1, {"a": None}]}),
    "with a create_time": context(user_id="u", create_time=TIME, metadata={"a": 1}),
    "with a create_time alone": context(create_time=TIME),
    "at the beginning of time": context(create_time=Timestamp()),
    "with an update_time": context(create_time=TIME, update_time=TIME),
    "with includes": context(user_id="u", includes=[AGENT], create_time=TIME),
    "of a snapshot": context(user_id="u", composed_from=SOURCES),
    "of a snapshot with a create_time": ExecutionContext.FromString(
        context(user_id="u", create_time=TIME, composed_from=SOURCES).SerializeToString() + NEWER
    ),
    "of a newer contract": ExecutionContext.FromString(
        context(user_id="u", create_time=TIME).SerializeToString() + NEWER
    ),
}


@pytest.mark.parametrize("put_", CONTEXTS.values(), ids=CONTEXTS.keys())
async def test_every_call(stub: Stub, put_: ExecutionContext) -> None:
    """No answer has a singular field twice, at any level, for any entry and any request.

    The stub refuses such an answer, and fields in disorder.
    """
    await put(stub, AGENT, context(llm_config={"model": "m"}))
    version = (await put(stub, key(), put_, request_id="r")).revision
    await put(stub, key(), put_, request_id="r")
    gets = [
        GetRequest(key=key(), include_layers=layers, known_version=known, consistency=consistency)
        for layers in (False, True)
        for known in (0, version, version - 1)
        for consistency in (Consistency.CONSISTENCY_STRONG, Consistency.CONSISTENCY_CACHED)
    ]
    for _ in range(2):  # from the store, then perhaps from memory
        for request in gets:
            answer = await stub.Get(request, timeout=TIMEOUT)
            assert answer.entry.HasField("context") == (request.known_version != version)
    missing = GetRequest(key=key("none"))
    await stub.BatchGet(BatchGetRequest(requests=[*gets, missing]), timeout=TIMEOUT)
    await stub.Lease(LeaseRequest(key=key()), timeout=TIMEOUT)
    leased = await stub.Lease(LeaseRequest(key=key("none"), wait=seconds(1)), timeout=TIMEOUT)
    release = store_pb2.ReleaseRequest(key=key("none"), lease_token=leased.lease.token)
    await stub.Release(release, timeout=TIMEOUT)
    async with Watch(stub) as watch:
        for known in (0, version):
            answered = await watch.answer(watch.subscribe(key(), known_version=known))
            assert answered.entry.HasField("context") == (not known)
        changed = await put(stub, key(), context(user_id="v"), update_mask=masked("user_id"))
        assert (await watch.news()).entry.version == changed.revision
        await watch.pong(watch.ping())
        await invalidate(stub, key())
        assert (await watch.news()).WhichOneof("event") == "invalidated"


async def test_a_split_put(stub: Stub) -> None:
    """A message that a client sends in pieces, as protobuf allows, is returned in one piece."""
    pieces = (
        PutRequest(key=key(), context=context(user_id="u", llm_config={"a": 1})),
        PutRequest(context=context(user_id="v", llm_config={"b": 2}, create_time=TIME)),
        PutRequest(context=context(create_time=Timestamp(nanos=2000))),
    )
    request = PutRequest.FromString(b"".join(each.SerializeToString() for each in pieces))
    await stub.Put(request, timeout=TIMEOUT)
    found = (await get(stub, key())).entry.context
    assert found.user_id == "v"
    assert dict(found.llm_config) == {"a": 1, "b": 2}
    assert found.create_time == Timestamp(seconds=TIME.seconds, nanos=2000)


def _twice(part: ExecutionContext, other: ExecutionContext) -> bytes:
    return part.SerializeToString() + other.SerializeToString()


STORED: dict[str, Callable[[], bytes]] = {
    "sections and names twice": lambda: _twice(
        context(user_id="u", llm_config={"a": 1}), context(user_id="v", llm_config={"b": 2})
    ),
    "two create_times": lambda: _twice(
        context(create_time=TIME), context(user_id="u", create_time=Timestamp(nanos=2000))
    ),
    "a create_time in its place": lambda: context(
        user_id="u", includes=[AGENT], create_time=TIME
    ).SerializeToString(),
    "a snapshot in pieces": lambda: _twice(
        context(composed_from=SOURCES[:1], create_time=TIME),
        context(composed_from=SOURCES[1:], user_id="u"),
    ),
    "an update_time": lambda: context(user_id="u", update_time=TIME).SerializeToString(),
    "both times twice": lambda: _twice(
        context(create_time=TIME, update_time=TIME), context(create_time=TIME, update_time=TIME)
    ),
    "fields of a newer contract between its own": lambda: (
        context(user_id="u").SerializeToString() + NEWER + context(user_id="v").SerializeToString()
    ),
    "as every version of the server has stored it": lambda: (
        context(create_time=TIME).SerializeToString()
        + context(user_id="u", metadata={"a": 1}).SerializeToString()
    ),
}


@pytest.mark.parametrize("stored", STORED.values(), ids=STORED.keys())
async def test_what_others_wrote_into_the_store(
    storage: Storage, storage_stub: Stub, stored: Callable[[], bytes]
) -> None:
    """A context that is stored in pieces is returned in one, equal to what protobuf reads."""
    await put(storage_stub, AGENT, context(includes=[key()]))
    written = await storage.write(Write(Key("conversation", "acme", "c1"), stored(), 60_000))
    wanted = ExecutionContext.FromString(stored())
    wanted.update_time.FromMilliseconds(written.version >> 20)
    if not wanted.HasField("create_time"):
        wanted.create_time.FromMilliseconds(written.created >> 20)
    for _ in range(2):
        assert (await get(storage_stub, key())).entry.context == wanted
        layers = (await get(storage_stub, AGENT, include_layers=True)).layers
        assert [layer.context for layer in layers] == [wanted]


@given(
    parts=st.lists(
        st.builds(
            context,
            user_id=texts,
            llm_config=st.none() | sections,
            metadata=sections,
            composed_from=st.lists(st.sampled_from(SOURCES), max_size=2),
            create_time=st.none() | st.builds(Timestamp, seconds=st.integers(0, 1 << 33)),
        ),
        max_size=3,
    ),
    unknown=st.sampled_from([b"", NEWER]),
    hand_made=st.booleans(),
    signature=st.sampled_from(["", "s", "s" * 128]),
)
def test_entries_of_any_content(
    parts: list[ExecutionContext], unknown: bytes, hand_made: bool, signature: str
) -> None:
    """For any stored bytes, the assembled entry is strict, and equals what protobuf reads."""
    stored = b"".join(part.SerializeToString() for part in parts) + unknown
    wanted = ExecutionContext.FromString(stored)
    if not hand_made:
        stored = serialize(ExecutionContext.FromString(stored))
    wanted.update_time.FromMilliseconds(5)
    if not wanted.HasField("create_time"):
        wanted.create_time.FromMilliseconds(4)

    def sign(_: Key, __: int) -> str:
        return signature

    entries, name = Entries(sign), Key("conversation", "acme", "c1")
    for _ in range(2):
        entry = Stored(5 << 20, 4 << 20, 1000, stored)
        got = entries.get_response(name, 3, entry, 9 << 20)
        alone = entries.serialized(name, 3, entry, body=True)
        # Only bytes that other programs wrote into the store may be in disorder.
        others = check(got, GetResponse, in_order=not hand_made)
        assert all(path.startswith("entry.context#") for path in others)
        check(alone, ContextEntry, in_order=not hand_made)
        assert GetResponse.FromString(got).entry.context == wanted
        assert GetResponse.FromString(got).entry.signature == signature
        assert ContextEntry.FromString(alone).context == wanted


@pytest.mark.parametrize(
    "data, problem",
    [
        (GetResponse(revision=1).SerializeToString() * 2, "revision: is there twice"),
        (GetResponse(entry=ContextEntry(version=1)).SerializeToString() * 2, "entry: is there"),
        (
            GetResponse(revision=1).SerializeToString()
            + GetResponse(entry=ContextEntry()).SerializeToString(),
            "entry: comes after",
        ),
        (b"\x0b\x0c", "a group"),
        (b"\x0a\x05", "ends within"),
        (b"\x18", "ends within"),
        (b"\x1a\x00", "wire type"),
    ],
)
def test_the_reader_is_strict(data: bytes, problem: str) -> None:
    """The tests' strict reader refuses repeated and disordered fields."""
    with pytest.raises(NotStrictError, match=problem):
        check(data, GetResponse)


def test_the_reader_knows_oneofs() -> None:
    """Two fields of one oneof count as a repetition."""
    requests = [WatchRequest(ping={"number": 1}), WatchRequest(touch={"key": key()})]
    data = b"".join(each.SerializeToString() for each in reversed(requests))
    with pytest.raises(NotStrictError, match="is not the only one of request"):
        check(data, WatchRequest)

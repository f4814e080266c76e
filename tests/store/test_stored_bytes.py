"""What a Put stores are the bytes of its context, however a client has written them."""

from hashlib import sha256

from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st
from relevo.v1.context_pb2 import ContextRef, ExecutionContext
from relevo.v1.store_pb2 import PutRequest
from relevo_server.access.callers import ANYONE
from relevo_server.wire import requests
from relevo_server.wire.entries import serialize
from support.clients.calls import context, key, masked
from support.clients.strict import check
from support.contexts import of_size
from support.strategies import sections, texts

LIMITS = requests.PutLimits(256 << 10, 86_400_000)
NEWER = b"\xfa\x3e\x05newer" + b"\x80\x3f\x07"
"""Fields 1007 and 1008, of a newer contract than this one."""

times = st.none() | st.integers(0, 2_000_000_000).map(lambda seconds: Timestamp(seconds=seconds))
parts = st.lists(
    st.builds(
        context,
        user_id=texts,
        tenant_id=st.sampled_from(["", "acme"]),
        llm_config=sections,
        metadata=sections,
        create_time=times,
        update_time=times,
        includes=st.sampled_from([(), (key("a1", scope="agent_config"),)]),
    )
    | st.builds(
        context,
        agent_config=sections,
        composed_from=st.sampled_from([(), (ContextRef(key=key(), revision=1),)]),
    )
    | st.just(ExecutionContext.FromString(NEWER)),
    min_size=1,
    max_size=2,
)
"""Contexts that a message has in pieces. A reader merges them."""


def read_put(serialized: bytes) -> requests.Put:
    """Read a Put, as a server does."""
    return requests.read_put(serialized, ANYONE, LIMITS)


def without_update_time(merged: ExecutionContext) -> ExecutionContext:
    """What is to be stored of a context."""
    found = ExecutionContext.FromString(merged.SerializeToString())
    found.ClearField("update_time")
    return found


@given(pieces=parts, is_last=st.booleans(), request_id=st.sampled_from(["", "r"]))
def test_any_form_of_a_message_stores_the_same(
    pieces: list[ExecutionContext], *, is_last: bool, request_id: str
) -> None:
    """Fields in disorder and messages in pieces are stored whole, in order, each field once.

    They are what the longer way stores, which a Put with a mask takes. The request's fingerprint
    is that of its content: a repetition in another form is recognised, by servers of all releases.
    """
    key_part = PutRequest(key=key(), request_id=request_id).SerializeToString()
    sent = [PutRequest(context=piece).SerializeToString() for piece in pieces]
    whole = b"".join([*sent, key_part] if is_last else [key_part, *sent])
    message = PutRequest.FromString(whole)
    if len(message.context.includes) > 1:
        return  # a rule is broken: both pieces had the layer
    put = read_put(whole)
    assert isinstance(put.content, bytes)
    assert ExecutionContext.FromString(put.content) == without_update_time(message.context)
    check(put.content, ExecutionContext, in_order=not message.context.HasField("create_time"))
    if request_id:
        digest = sha256(message.SerializeToString(deterministic=True)).digest()
        assert put.once == (request_id, digest)
        assert read_put(message.SerializeToString()).once == put.once
    assert len(put.content) == len(serialize(message.context))


def test_what_comes_after_the_context_is_not_stored() -> None:
    """Of all fields of a Put, of known and of newer ones, the context alone is stored."""
    request = PutRequest(key=key(), context=of_size(1000), request_id="r", if_version=7)
    request.ttl.FromSeconds(5)
    put = read_put(request.SerializeToString() + NEWER)
    assert put.content == of_size(1000).SerializeToString(deterministic=True)


def test_a_mask_keeps_the_times_of_its_source() -> None:
    """A Put with a mask may write the `create_time`: reading the request leaves it as it is."""
    time = Timestamp(seconds=1_700_000_000)
    source = context(user_id="u", create_time=time)
    request = PutRequest(key=key(), context=source, update_mask=masked("create_time"))
    content = read_put(request.SerializeToString()).content
    assert not isinstance(content, bytes)
    assert content.source.create_time == time

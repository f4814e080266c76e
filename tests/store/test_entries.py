"""Entries assembled from serialized parts equal those that protobuf serializes as a whole."""

import time

from hypothesis import given
from hypothesis import strategies as st
from relevo.v1.context_pb2 import ContextEntry, ContextKey, ExecutionContext
from relevo.v1.store_pb2 import GetResponse
from relevo_server.keys import Key
from relevo_server.storage.interface import Stored
from relevo_server.wire.entries import Entries, serialize

MAX = (1 << 63) - 1
ENTRIES = Entries()
"""One for all examples: no example may show in the answer of another one."""


@given(
    key=st.builds(Key, *[st.text(min_size=1, max_size=200)] * 3),
    user_id=st.text(max_size=300),
    partition=st.integers(0, 1 << 14),
    version=st.integers(1 << 40, MAX),
    ttl_ms=st.integers(0, 1 << 40),
    revision=st.integers(0, MAX),
    signature=st.integers(0, 128).map("s".__mul__),
)
def test_a_get_is_answered_as_protobuf_would(
    key: Key,
    user_id: str,
    partition: int,
    version: int,
    ttl_ms: int,
    revision: int,
    signature: str,
) -> None:
    """The bytes parse to the same Get response, for any entry and after any earlier response."""
    stored = Stored(version, version, ttl_ms, serialize(ExecutionContext(user_id=user_id)))
    before = int(time.time() * 1000)

    def sign(_: Key, __: int) -> str:
        return signature

    entries = Entries(sign) if signature else ENTRIES
    answer = GetResponse.FromString(entries.get_response(key, partition, stored, revision))
    entry = ContextEntry.FromString(entries.serialized(key, partition, stored, body=True))
    after = int(time.time() * 1000)
    for each in (answer.entry, entry):
        assert before + ttl_ms <= each.expire_time.ToMilliseconds() <= after + ttl_ms
    wanted = ContextEntry(
        key=ContextKey(scope=key.scope, tenant_id=key.tenant_id, id=key.id),
        context=ExecutionContext(user_id=user_id),
        version=version,
        partition=partition,
        expire_time=answer.entry.expire_time,
        signature=signature,
    )
    wanted.context.create_time.FromMilliseconds(version >> 20)
    wanted.context.update_time.FromMilliseconds(version >> 20)
    wanted.ttl.FromMilliseconds(ttl_ms)
    assert answer == GetResponse(entry=wanted, revision=revision)
    entry.expire_time.CopyFrom(wanted.expire_time)
    assert entry == wanted

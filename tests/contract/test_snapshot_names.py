"""The names of snapshots, which each receiver can verify.

The vectors are for implementations in other languages, too.
"""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from relevo.v1 import context_pb2
from relevo_client import ContextEntry, ContextKey, ContextRef, ExecutionContext, RelevoError
from relevo_client._context import digest
from relevo_client._context.codec import (
    context_from_message,
    context_to_message,
    entry_from_message,
)
from relevo_client._context.entry import composed, snapshot_context
from relevo_server.wire import digests
from support.clients.either import ENTRY
from support.strategies import contexts

VECTORS = json.loads((Path(__file__).parent / "snapshot_vectors.json").read_text("utf-8"))


def entry_of(key: ContextKey, version: int, **fields: Any) -> ContextEntry:
    """An entry that the store holds."""
    return replace(ENTRY, key=key, version=version, context=ExecutionContext(**fields))


A, B = (ContextKey("layer", "acme", name) for name in "ab")


def head_over(*layers: ContextEntry) -> ContextEntry:
    """A composed entry that includes these."""
    keys = [layer.key for layer in layers]
    head = entry_of(ContextKey("conversation", "acme", "c"), 5, includes=keys)
    return composed(replace(head, layers=layers))


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_vectors(vector: dict[str, Any]) -> None:
    """The id is the SHA-256 of the canonical JSON of the content and its sources."""
    context = ExecutionContext.from_cache_dict(vector["context"])
    assert digest.key_of("acme", context).id == vector["id"]


def test_keys_that_read_alike() -> None:
    """Scope `a` with id `b.c` and scope `a.b` with id `c` have different snapshots."""
    one = entry_of(ContextKey("a", "acme", "b.c"), 7, user_id="u")
    other = entry_of(ContextKey("a.b", "acme", "c"), 7, user_id="u")
    assert one.snapshot_key != other.snapshot_key


def test_every_version_counts() -> None:
    """Two states with the same newest version have different names: all versions are in them."""
    new = entry_of(A, 9, llm_config={"model": "new"})
    torn = head_over(new, entry_of(B, 6, rag_config={"top_k": 1}))
    true = head_over(new, entry_of(B, 8, rag_config={"top_k": 1}))
    assert torn.context == true.context
    assert torn.snapshot_key != true.snapshot_key


def test_a_snapshot_is_its_own() -> None:
    """The snapshot of a snapshot is the same snapshot."""
    entry = head_over(entry_of(A, 9, llm_config={"model": "m"}))
    snapshot = replace(ENTRY, key=entry.snapshot_key, context=snapshot_context(entry))
    assert snapshot.snapshot_key == snapshot.key


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_vectors_of_the_server(vector: dict[str, Any]) -> None:
    """The server names snapshots by the same rule."""
    message = context_to_message(ExecutionContext.from_cache_dict(vector["context"]))
    assert digests.key_of_snapshot("acme", message).id == vector["id"]


@given(contexts)
def test_server_and_client_agree(context: ExecutionContext) -> None:
    """The server gives any snapshot the name that a client gives it."""
    snapshot = snapshot_context(replace(ENTRY, context=context.update(includes=())))
    name = digests.key_of_snapshot("acme", context_to_message(snapshot))
    assert str(name) == digest.key_of("acme", snapshot).text
    assert digests.is_digest(name)


@given(contexts)
def test_what_arrives_has_its_name(context: ExecutionContext) -> None:
    """Any snapshot that arrives over the wire is verified by its name."""
    entry = replace(ENTRY, context=context.update(includes=()))
    arrived = context_from_message(
        context_pb2.ExecutionContext.FromString(
            context_to_message(snapshot_context(entry)).SerializeToString()
        )
    )
    digest.verify(entry.snapshot_key, arrived)


@given(contexts, st.data())
def test_what_was_changed_is_refused(context: ExecutionContext, data: st.DataObject) -> None:
    """A snapshot that differs from its name in any field is refused, and the error has its key."""
    entry = replace(ENTRY, context=context.update(includes=()))
    snapshot = snapshot_context(entry)
    changes: list[dict[str, Any]] = [
        {"user_id": f"{snapshot.user_id}!"},
        {"llm_config": {**snapshot.llm_config, "another": None}},
        {"includes": (A,)},
        {"composed_from": ()},
        {"composed_from": (ContextRef(entry.key, entry.version + 1),)},
        {"composed_from": (ContextRef(A, entry.version),)},
    ]
    changed = snapshot.update(**data.draw(st.sampled_from(changes)))
    message = context_pb2.ContextEntry(
        key=entry.snapshot_key.to_message(), context=context_to_message(changed), version=1
    )
    with pytest.raises(RelevoError, match="is not the snapshot of that name") as caught:
        entry_from_message(message, 1)
    assert caught.value.reason == "CORRUPT_ENTRY"
    assert caught.value.metadata == {"key": entry.snapshot_key.text}


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_numbers_that_json_does_not_have(number: float) -> None:
    """A snapshot with a number that JSON cannot express is refused as corrupt."""
    message = context_pb2.ContextEntry(key=head_over().snapshot_key.to_message(), version=1)
    message.context.metadata["number"] = number
    with pytest.raises(RelevoError) as caught:
        entry_from_message(message, 1)
    assert caught.value.reason == "CORRUPT_ENTRY"


def test_other_names_are_nobodys_digest() -> None:
    """A key of the scope without a digest names any entry, as in earlier releases."""
    for name in ("conversation.c-1.5", "sha256-12", "sha256-" + "g" * 64):
        digest.verify(ContextKey("snapshot", "acme", name), ExecutionContext(user_id="u"))

"""Riders: their bytes, which are for implementations in other languages too, and what is refused.

The vectors of `rider_vectors.json` are read by every implementation; writers may compress
otherwise, as zlib's streams of the same content differ.
"""

import json
import zlib
from base64 import b64decode
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from relevo.v1.context_pb2 import ContextEntry as EntryMessage
from relevo_client import ContextEntry, ContextKey, ContextRef, ContextSource, ExecutionContext
from relevo_client._context import riders
from relevo_client._context.bounded import Bounded
from relevo_client._context.codec import context_to_message
from relevo_client._context.entry import snapshot_context
from relevo_client._context.riders import MAX_BYTES, MAX_INFLATED, RiderRefusedError
from support.clients.riding import rider_of, snapshot_of
from support.entries import entry_of
from support.strategies import contexts, mutated

VECTORS = json.loads((Path(__file__).parent / "rider_vectors.json").read_text("utf-8"))


def refused(rider: bytes, ref: ContextRef) -> str | None:
    """Why a rider is refused; None if it is not."""
    try:
        riders.verified(rider, ref)
    except RiderRefusedError as error:
        return error.why.value
    return None


def packed(entry: ContextEntry, change: Callable[[EntryMessage], object] = lambda _: None) -> bytes:
    """The rider of a snapshot whose message was changed."""
    message = EntryMessage(key=entry.key.to_message(), version=entry.version)
    message.context.CopyFrom(context_to_message(entry.context))
    message.expire_time.FromDatetime(entry.expire_time)
    change(message)
    return zlib.compress(message.SerializeToString())


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_vectors(vector: dict[str, Any]) -> None:
    """Each vector is read as it says: a snapshot for its reference, or why it is refused."""
    ref, rider = ContextRef.parse(vector["ref"]), b64decode(vector["rider"])
    why = vector.get("refused")
    assert refused(rider, ref) == why
    if why is None:
        entry = riders.verified(rider, ref).entry
        assert entry.context == ExecutionContext.from_cache_dict(vector["context"])
        assert entry.version == int(vector["version"])
        assert (entry.ref, entry.source) == (ref, ContextSource.RIDER)


@given(contexts, st.integers(0, (1 << 63) - 1))
def test_what_rides_arrives(context: ExecutionContext, version: int) -> None:
    """Any small snapshot arrives as it was, with the fence of the reference beside it."""
    snapshot = snapshot_of(replace(entry_of("u"), context=context), version=version)
    rider = riders.rider_of(snapshot)
    if rider is None:  # it is too large
        return
    assert len(rider) <= MAX_BYTES
    found = riders.verified(rider, ContextRef(snapshot.key, 77)).entry
    assert (found.context, found.key, found.version) == (
        snapshot.context,
        snapshot.key,
        version,
    )
    assert (found.revision, found.is_stale, found.layers) == (77, False, ())
    assert found.expire_time == snapshot.expire_time
    assert riders.rider_of(found) == rider, "it is carried on as it came"


def test_only_small_snapshots_ride() -> None:
    """Neither other entries ride, nor what compresses badly, nor a last known copy."""
    entry = entry_of("u")
    snapshot = snapshot_of(entry)
    assert riders.rider_of(snapshot)
    assert riders.rider_of(entry) is None
    assert riders.rider_of(replace(entry, key=ContextKey("snapshot", "acme", "by-hand"))) is None
    assert riders.rider_of(replace(snapshot, is_stale=True)) is None
    noise = "".join(chr(0x4E00 + (i * 7919) % 20000) for i in range(4000))
    large = replace(entry, context=ExecutionContext(llm_config={"prompt": noise}))
    assert riders.rider_of(snapshot_of(large)) is None
    huge = replace(entry, context=ExecutionContext(llm_config={"prompt": "a" * 100_000}))
    assert riders.rider_of(snapshot_of(huge)) is None


def test_it_is_encoded_once() -> None:
    """Entries that differ in their fences alone have the same rider, the same object."""
    snapshot = snapshot_of(entry_of("once"))
    rider = riders.rider_of(snapshot)
    assert riders.rider_of(replace(snapshot, revision=99, signature="k.1.2.x")) is rider


def test_known_bytes_are_not_verified_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A receiver that has seen the bytes does not inflate them again, good ones or bad ones."""
    ref, rider = rider_of("seen")
    bad = rider[:-9]
    assert refused(rider, ref) is None
    assert refused(bad, ref) == "malformed"
    monkeypatch.setattr(zlib, "decompressobj", None)
    assert refused(bytes(bytearray(rider)), ref) is None
    assert refused(rider, ContextRef(ref.key, 5)) is None
    assert refused(bad, ref) == "malformed"


def test_what_is_remembered_is_bounded() -> None:
    """What a receiver remembers of riders is bounded in number and bytes."""
    for i in range(1100):
        refused(b"no rider %d" % i, rider_of("u")[0])
    known: Bounded[bytes, object] = vars(riders)["_verified"]
    assert len(known) <= 1024
    assert known.size <= 8 << 20


A_KEY = ContextKey("conversation", "acme", "u")
CASES: dict[str, tuple[str, Callable[[EntryMessage], object]]] = {
    "other content": ("forged", lambda m: m.context.llm_config.update({"model": "evil"})),
    "other user": ("forged", lambda m: setattr(m.context, "user_id", "eve")),
    "no sources": ("forged", lambda m: m.context.ClearField("composed_from")),
    "includes": ("forged", lambda m: m.context.includes.add(scope="a", tenant_id="b", id="c")),
    "a newer field": ("forged", lambda m: m.context.MergeFromString(b"\xaa\x06\x05later")),
    "a signature within": (
        "forged",
        lambda m: setattr(m.context.composed_from[0], "signature", "k.1.2.x"),
    ),
    "a negative version": ("forged", lambda m: setattr(m, "version", -1)),
    "no time": ("expired", lambda m: m.ClearField("expire_time")),
    "long ago": ("expired", lambda m: setattr(m.expire_time, "seconds", 1)),
    "no such time": ("forged", lambda m: setattr(m.expire_time, "seconds", 1 << 60)),
    "another key": ("other_reference", lambda m: setattr(m.key, "id", "sha256-" + "0" * 64)),
    "a key by hand": ("other_reference", lambda m: setattr(m.key, "scope", "conversation")),
    "another tenant's key": ("other_reference", lambda m: setattr(m.key, "tenant_id", "b")),
    "no key": ("other_reference", lambda m: m.ClearField("key")),
    "no number": ("forged", lambda m: m.context.metadata.update({"x": float("nan")})),
}


@pytest.mark.parametrize("why, change", CASES.values(), ids=[*CASES])
def test_forged(why: str, change: Callable[[EntryMessage], object]) -> None:
    """A rider whose name is not that of its content, or not the reference's, is refused."""
    snapshot = snapshot_of(entry_of("u"))
    assert refused(packed(snapshot), snapshot.ref) is None
    assert refused(packed(snapshot, change), snapshot.ref) == why


@pytest.mark.parametrize("field", ["tenant_id", "composed_from"])
def test_another_tenants_content(field: str) -> None:
    """Content of a tenant under a key and a reference of another one is refused.

    The digest is right: it does not cover the tenant of the key.
    """
    entry = replace(entry_of("u"), context=ExecutionContext())
    elsewhere = replace(entry.key, tenant_id="other")
    if field == "tenant_id":
        foreign = ExecutionContext(tenant_id=entry.key.tenant_id)
        stolen = snapshot_of(replace(entry, key=elsewhere, context=foreign))
    else:
        snapshot = snapshot_of(entry)
        stolen = replace(snapshot, key=replace(snapshot.key, tenant_id="other"))
    assert refused(packed(stolen), stolen.ref) == "forged"


def test_a_key_that_is_no_digest() -> None:
    """A reference that is no snapshot's has no rider: nothing could verify it."""
    entry = entry_of("u")
    whole = replace(entry, context=snapshot_context(entry))
    assert refused(packed(whole), whole.ref) == "forged"


def test_bombs() -> None:
    """4 KiB that inflate to more than the limit are refused, after the limit and not after all."""
    ref, _ = rider_of("u")
    bomb = zlib.compress(bytes(4_000_000), 9)
    assert len(bomb) <= MAX_BYTES
    assert refused(bomb, ref) == "too_large"
    assert refused(bytes(MAX_BYTES + 1), ref) == "too_large"
    assert refused(zlib.compress(bytes(MAX_INFLATED), 9), ref) in ("too_large", "malformed")


def test_cut_off_or_continued() -> None:
    """A rider without its end, or with bytes after it, is refused."""
    ref, rider = rider_of("u")
    assert {refused(rider[:end], ref) for end in range(0, len(rider), 7)} == {"malformed"}
    assert refused(rider + b"\0", ref) == "malformed"
    assert refused(rider + rider, ref) == "malformed"
    assert refused(zlib.compress(zlib.decompress(rider)[:-3]), ref) in ("malformed", "forged")
    assert refused(zlib.compress(b""), ref) == "other_reference"


def test_an_hour_in_a_queue() -> None:
    """A rider that was made long ago is refused once the snapshot has expired."""
    snapshot = snapshot_of(entry_of("u"), expire_time=datetime.now(UTC) - timedelta(seconds=1))
    rider = riders.rider_of(snapshot)
    assert rider
    assert refused(rider, snapshot.ref) == "expired"


def check_mutated(data: st.DataObject) -> None:
    """A mutated rider is refused, or what it holds is what the name says."""
    snapshot = snapshot_of(entry_of("u"), version=7)
    rider = riders.rider_of(snapshot)
    assert rider
    try:
        found = riders.verified(mutated(rider, data), snapshot.ref).entry
    except RiderRefusedError:
        return
    assert found.key == snapshot.key
    assert riders.named_only(found).context == riders.named_only(snapshot).context


@settings(max_examples=300)
@given(st.data())
def test_mutated(data: st.DataObject) -> None:
    """A rider with any bytes changed is refused, or its content is what its name says."""
    check_mutated(data)


@pytest.mark.long
@settings(max_examples=10_000)
@given(st.data())
def test_mutated_ten_thousand_times(data: st.DataObject) -> None:
    """The same 10,000 times."""
    check_mutated(data)


def test_without_what_the_name_does_not_cover() -> None:
    """From a caller that only a signature vouches for, times and the version do not count."""
    now = datetime.now(UTC)
    context = ExecutionContext(user_id="u", created_at=now, updated_at=now)
    snapshot = snapshot_of(replace(entry_of("u"), context=context), version=7)
    bare = riders.named_only(snapshot)
    assert (bare.context.created_at, bare.context.updated_at, bare.version) == (None, None, 0)
    assert bare.snapshot_key == snapshot.key

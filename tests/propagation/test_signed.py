"""Signed references: a service that knows no caller accepts what the store has named."""

from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from grpc import StatusCode, aio
from relevo_client import (
    AsyncContextClient,
    ContextClient,
    ContextKey,
    ContextRef,
    ExecutionContext,
    InvalidFieldError,
    aio_client_interceptors,
    aio_server_interceptor,
    context_headers,
    server_interceptor,
    use_context,
)
from relevo_client._client import cached_reads
from relevo_client._context.fences import raise_fence
from relevo_client.actions import DomainAction, stamp
from relevo_client.testing import LocalStore
from relevo_server.keys import Key
from relevo_server.server import Server
from relevo_server.service.signing import Signer
from relevo_server.settings import Settings
from support.clients.callers import calling
from support.clients.either import KEY, KINDS, opened
from support.servers.hosting import hosted
from support.servers.relay import Relay
from support.servers.services import method_of, see, seen, service
from support.servers.shapes import Kind
from support.waiting import until_async

FORBIDDEN = StatusCode.PERMISSION_DENIED, "the caller may not use this context"
FIRST, SECOND = (f"{name} {b64encode(name.encode() * 32).decode()}\n" for name in "ab")

each_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """The file of keys."""
    file = tmp_path / "reference.keys"
    file.write_text(FIRST)
    return file


@pytest.fixture
def store(keys: Path) -> Iterator[LocalStore]:
    """A store that signs, with a context in it."""
    with LocalStore(reference_keys=keys) as store:
        store.client.put(KEY, ExecutionContext(user_id="u-1", tenant_id="acme"))
        yield store


@pytest.fixture
async def verifying(store: LocalStore, keys: Path) -> AsyncIterator[AsyncContextClient]:
    """The client of a service that has the keys."""
    async with AsyncContextClient(store.address, timeout=10, reference_keys=keys) as client:
        yield client


@pytest.fixture
async def address(verifying: AsyncContextClient) -> AsyncIterator[str]:
    """A service that accepts signed references only."""
    interceptor = aio_server_interceptor(verifying, trust_callers="signed")
    async with service({"Do": see}, interceptors=[interceptor]) as address:
        yield address


def write(keys: Path, text: str) -> None:
    """Change the keys."""
    keys.write_text(text)


def metadata_of(ref: ContextRef) -> list[tuple[str, str]]:
    """A reference as another language sends it."""
    pairs = [("context-key", ref.key.text), ("context-revision", str(ref.revision))]
    return [*pairs, ("context-signature", ref.signature)] if ref.signature else pairs


async def outcome(address: str, metadata: Any) -> object:
    """The user whom the service sees, or how the call ends."""
    async with aio.insecure_channel(address) as channel:
        try:
            return seen(await method_of(channel)(b"", metadata=metadata, timeout=10)).user
        except aio.AioRpcError as error:
            return error.code(), error.details()


@each_kind
async def test_every_answer_is_signed(store: LocalStore, kind: Kind) -> None:
    """Each way to get an entry or a reference brings the signature."""
    async with opened(kind, store.address, timeout=10) as client:
        put = await client.ask(lambda c: c.put(KEY, ExecutionContext(user_id="u-1")))
        updated = await client.ask(lambda c: c.update(KEY, {"user_id": "u-2"}))
        got = await client.ask(lambda c: c.get(KEY))
        (in_batch,) = await client.ask(lambda c: c.batch_get([KEY]))
        resolved = await client.ask(lambda c: c.resolve(updated))
        cached = await client.local(KEY)
        snapshot = await client.ask(lambda c: c.snapshot(resolved))
        refs = [put, updated, got.ref, in_batch.ref, resolved.ref, cached.ref, snapshot.ref]
    for ref in refs:
        name, _, revision, _ = ref.signature.split(".")
        assert (name, int(revision) <= ref.revision) == ("a", True)
        assert ref.signature not in repr(ref)


async def test_without_keys_nothing_is_signed(client: AsyncContextClient, key: ContextKey) -> None:
    """A store without keys signs nothing, and calls carry two entries as before."""
    ref = await client.put(key, ExecutionContext())
    assert ref.signature == ""
    with use_context(await client.resolve(ref)):
        assert set(context_headers()) == {"context-key", "context-revision"}


@each_kind
async def test_a_signed_reference_is_accepted(store: LocalStore, keys: Path, kind: Kind) -> None:
    """A stranger's signed reference is resolved, with both kinds of server, and passed on."""

    def handler(request: bytes, _: Any) -> bytes:
        carried.append(context_headers())
        return request

    carried: list[dict[str, str]] = []
    entry = store.client.get(KEY)
    options: dict[str, Any] = {"timeout": 10, "reference_keys": keys}
    async with AsyncContextClient(store.address, **options) as client:
        with ContextClient(store.address, **options) as blocking:
            interceptor = (
                server_interceptor(blocking, trust_callers="signed")
                if kind == "blocking"
                else aio_server_interceptor(client, trust_callers="signed")
            )
            methods = {"Do": ("unary_unary", handler)}
            async with (
                hosted(kind, methods, interceptors=[interceptor]) as host,
                calling(kind, host.address, interceptors=()) as caller,
            ):
                for metadata in (metadata_of(entry.ref), metadata_of(ContextRef(KEY, 1))):
                    call = caller.begin("unary_unary", metadata=metadata)
                    over = await caller.outcome("unary_unary", call)
                    expected = StatusCode.OK if len(metadata) == 3 else FORBIDDEN[0]
                    assert over.code is expected
    (headers,) = carried
    assert headers["context-key"] == KEY.text
    assert headers["context-signature"].startswith("a.")


@pytest.mark.parametrize("what", ["key", "tenant", "revision", "signature", "nothing", "expired"])
async def test_what_is_forged_is_refused(store: LocalStore, address: str, what: str) -> None:
    """A reference that the store has not signed so ends the call, and nobody is asked."""
    ref = store.client.get(KEY).ref
    name, expiry, revision, mac = ref.signature.split(".")
    forged = {
        "key": ContextRef(ContextKey("conversation", "acme", "c-2"), ref.revision, ref.signature),
        "tenant": ContextRef(ContextKey("conversation", "b", "c-1"), ref.revision, ref.signature),
        "revision": ContextRef(KEY, ref.revision - 1, ref.signature),
        "signature": ContextRef(KEY, ref.revision, f"{name}.{int(expiry) + 1}.{revision}.{mac}"),
        "nothing": ContextRef(KEY, ref.revision),
        "expired": ContextRef(KEY, ref.revision, f"{name}.1.{revision}.{mac}"),
    }[what]
    assert await outcome(address, metadata_of(ref)) == "u-1"
    assert await outcome(address, metadata_of(forged)) == FORBIDDEN


async def test_a_malformed_signature(store: LocalStore, address: str) -> None:
    """A signature that could not be passed on makes the reference malformed, with any trust."""
    ref = store.client.get(KEY).ref
    malformed = (StatusCode.INVALID_ARGUMENT, "the call's context reference is malformed")
    for signature in ("a" * 129, "a b", "a,b"):
        metadata = metadata_of(ContextRef(KEY, ref.revision, signature))
        assert await outcome(address, metadata) == malformed
        entry = replace(store.client.get(KEY), signature=signature)
        with use_context(entry), pytest.raises(InvalidFieldError):
            context_headers()


async def test_a_call_without_a_reference(address: str) -> None:
    """A call without a reference has no context, as ever."""
    assert await outcome(address, ()) is None
    assert await outcome(address, [("context-signature", "a.1.1.x")]) is None


async def test_a_later_fence_is_accepted(store: LocalStore, address: str) -> None:
    """Services raise the fence that they pass on: the signature counts for later revisions."""
    ref = store.client.get(KEY).ref
    newer = store.client.update(KEY, {"user_id": "u-2"})
    assert (
        await outcome(address, metadata_of(ContextRef(KEY, newer.revision, ref.signature))) == "u-2"
    )


async def test_a_chain_of_strangers(store: LocalStore, keys: Path) -> None:
    """Calls carry the signature on, through services whose near caches answer."""
    async with (
        Relay(store.address) as relay,
        AsyncContextClient(store.address, timeout=10, reference_keys=keys) as last,
        AsyncContextClient(relay.address, timeout=10) as middle,
    ):
        accepts = aio_server_interceptor(last, trust_callers="signed")
        trusts = aio_server_interceptor(middle, trust_callers=True)
        async with service({"Do": see}, interceptors=[accepts]) as second:
            channel = aio.insecure_channel(second, interceptors=aio_client_interceptors())

            async def forward(request: bytes, _: Any) -> bytes:
                return await method_of(channel)(request, timeout=10)

            async with channel, service({"Do": forward}, interceptors=[trusts]) as first:
                metadata = metadata_of(store.client.get(KEY).ref)
                for _ in range(3):
                    assert await outcome(first, metadata) == "u-1"
                assert len(relay.of("Get")) <= 3


async def test_authorize_is_asked_too(store: LocalStore, verifying: AsyncContextClient) -> None:
    """A signature says that the context exists, and not who calls: `authorize` decides that."""

    def nobody(_: ContextRef, __: object) -> bool:
        return False

    interceptor = aio_server_interceptor(verifying, trust_callers="signed", authorize=nobody)
    async with service({"Do": see}, interceptors=[interceptor]) as address:
        assert await outcome(address, metadata_of(store.client.get(KEY).ref)) == FORBIDDEN


async def test_what_cannot_be_asked_for(client: AsyncContextClient) -> None:
    """Without keys nothing can be verified, and no other text is a trust."""
    with pytest.raises(ValueError, match="needs a client with reference_keys"):
        aio_server_interceptor(client, trust_callers="signed")
    other: Any = "yes"
    with pytest.raises(ValueError, match='must be a bool, "signed", or a function'):
        aio_server_interceptor(client, trust_callers=other)


@pytest.mark.parametrize("kind", [ContextClient, AsyncContextClient])
def test_keys_that_cannot_be_read(kind: Any, tmp_path: Path) -> None:
    """A file without keys is refused when the client is made."""
    file = tmp_path / "keys"
    for content in (None, "a s3cret!"):
        if content:
            file.write_text(content)
        with pytest.raises(InvalidFieldError, match=r"^reference_keys: ") as caught:
            kind("127.0.0.1:1", reference_keys=file)
        assert "s3cret" not in str(caught.value)


async def test_a_server_without_keys_does_not_start(tmp_path: Path) -> None:
    """A file that cannot be used is a wrong setting of the server."""
    with pytest.raises(ValueError, match=r"^reference_keys: .*No such file"):
        Server(Settings(listen="127.0.0.1:0", reference_keys=tmp_path / "none"))


async def test_keys_from_a_function(store: LocalStore) -> None:
    """A function returns the keys by their names."""
    secrets = {"a": b"a" * 32}
    ref = store.client.get(KEY).ref
    async with AsyncContextClient(
        store.address, timeout=10, reference_keys=lambda: secrets
    ) as client:
        interceptor = aio_server_interceptor(client, trust_callers="signed")
        async with service({"Do": see}, interceptors=[interceptor]) as address:
            assert await outcome(address, metadata_of(ref)) == "u-1"


async def test_keys_rotate_without_a_failed_call(
    store: LocalStore, keys: Path, address: str, tmp_path: Path
) -> None:
    """If the next key is known everywhere before servers sign with it, no call is refused."""
    old = store.client.get(KEY).ref
    write(tmp_path / "next", SECOND)
    signer = Signer(tmp_path / "next", 3600)
    first_of_next = replace(
        old, signature=signer.sign(Key(KEY.scope, KEY.tenant_id, KEY.id), old.revision)
    )
    assert await outcome(address, metadata_of(first_of_next)) == FORBIDDEN
    write(keys, FIRST + SECOND)

    async def is_known() -> bool:
        assert await outcome(address, metadata_of(old)) == "u-1"
        return await outcome(address, metadata_of(first_of_next)) == "u-1"

    await until_async(is_known, what="the second key to be known")
    write(keys, SECOND + FIRST)

    async def is_used() -> bool:
        present = store.client.get(KEY).ref
        for ref in (old, present):
            assert await outcome(address, metadata_of(ref)) == "u-1"
        return present.signature.startswith("b.")

    await until_async(is_used, what="the second key to sign")
    write(keys, SECOND)

    async def is_over() -> bool:
        return await outcome(address, metadata_of(old)) == FORBIDDEN

    await until_async(is_over, what="the end of the first key")


@each_kind
async def test_a_signature_that_ends_is_renewed(
    store: LocalStore, keys: Path, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cached entry whose signature is about to expire is signed anew by the store, once."""
    async with opened(kind, store.address, timeout=10) as client:
        entry = await client.ask(lambda c: c.resolve(KEY))
        snapshot = await client.ask(lambda c: c.snapshot(entry))
        for key in (KEY, snapshot.key):
            await client.ask(lambda c: c.resolve(key))  # noqa: B023 - within the round
            assert (await client.local(key)).signature.startswith("a.")
        write(keys, SECOND)
        await until_async(lambda: store.client.get(KEY).signature.startswith("b."))
        monkeypatch.setattr(cached_reads, "LEFT", 1 << 40)
        assert client.peek(KEY) is None
        assert (await client.ask(lambda c: c.resolve(KEY))).signature.startswith("b.")
        renewed = await client.ask(lambda c: c.snapshot(entry))
        assert (renewed.key, renewed.signature[:2]) == (snapshot.key, "b.")
        monkeypatch.undo()
        cached = client.peek(KEY)
        assert cached
        assert cached.signature.startswith("b.")


async def test_the_signature_that_came_in_goes_on(
    store: LocalStore, server: Server, client: AsyncContextClient
) -> None:
    """If a service's own store signs nothing, the caller's signature goes on."""
    del server
    ref = await client.put(KEY, ExecutionContext(user_id="u-1"))
    signature = store.client.get(KEY).signature
    for _ in range(2):
        entry = await client.resolve(ContextRef(KEY, ref.revision, signature))
        assert entry.ref.signature == signature


def test_actions_carry_it(store: LocalStore) -> None:
    """An action has the signature in its JSON and in its message, and so has its reply."""
    with use_context(store.client.resolve(KEY)):
        action = stamp(DomainAction(action_type="a.b.c", callback_action_type="a.b.d"))
    signature = store.client.get(KEY).signature.rpartition(".")[0].rpartition(".")[2]
    for each in (
        action,
        DomainAction.model_validate_json(action.model_dump_json()),
        DomainAction.from_message(action.to_message()),
        action.reply({}),
    ):
        assert each.context_ref
        assert each.context_ref.signature == action.context_ref.signature  # type: ignore[union-attr]
        assert signature in each.context_ref.signature
    assert '"context_signature":"a.' in action.model_dump_json()
    unsigned = DomainAction(action_type="a.b.c", context_ref=ContextRef(KEY, 7))
    assert "context_signature" not in unsigned.model_dump_json()


async def test_who_is_not_known_hears_nothing(verifying: AsyncContextClient) -> None:
    """A signature proves the reference and not its sender, who is not told what was written."""
    entry = await verifying.resolve(KEY)

    async def work(_: Any, __: Any) -> bytes:
        raise_fence(KEY.tenant_id, entry.revision + 1000)
        return b"done"

    interceptor = aio_server_interceptor(verifying, trust_callers="signed")
    methods = {"Do": ("unary_unary", work)}
    async with (
        hosted("asyncio", methods, interceptors=[interceptor]) as host,
        calling("asyncio", host.address) as caller,
    ):
        with use_context(entry):
            outcome = await caller.outcome("unary_unary", caller.begin("unary_unary"))
    assert (outcome.items, outcome.trailing) == (["done"], [])

"""Over HTTP, too, a signed reference is accepted from anybody."""

from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from relevo_client import AsyncContextClient, ContextKey, ExecutionContext, context_headers
from relevo_client.asgi import ContextMiddleware
from relevo_client.testing import LocalStore
from support.servers.asgi import HEADERS, ask, see

KEY = ContextKey("conversation", "acme", "c-1")


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """The file of keys."""
    file = tmp_path / "keys"
    file.write_text(f"k {b64encode(b'k' * 32).decode()}")
    return file


@pytest.fixture
def signing(keys: Path) -> Iterator[LocalStore]:
    """A store that signs."""
    with LocalStore(reference_keys=keys) as store:
        store.client.put(KEY, ExecutionContext(tenant_id="acme", user_id="u-1"))
        yield store


async def test_signed_references_only(signing: LocalStore, keys: Path) -> None:
    """A reference is resolved if it is signed, and refused with 403 if it is not."""
    ref = signing.client.get(KEY).ref
    headers = {"context-key": KEY.text, "context-revision": str(ref.revision)}
    signed = {**headers, "context-signature": ref.signature}
    async with AsyncContextClient(signing.address, timeout=10, reference_keys=keys) as contexts:
        app = ContextMiddleware(see, contexts, trust_callers="signed")
        assert (await ask(app, signed.items())).body["context"]["user_id"] == "u-1"
        for forged in (headers, {**signed, "context-key": "conversation:acme:c-2"}):
            answer = await ask(app, forged.items())
            assert (answer.status, answer.body["error"]["reason"]) == (403, "FORBIDDEN")
        # Without a reference, the headers count as ever.
        assert (await ask(app, HEADERS.items())).body["key"] == KEY.text


async def test_signatures_of_strangers_are_removed(signing: LocalStore) -> None:
    """An application passes no signature on that a stranger has sent."""
    ref = signing.client.get(KEY).ref
    signed = {"context-key": KEY.text, "context-signature": ref.signature}
    async with AsyncContextClient(signing.address, timeout=10) as contexts:
        answer = await ask(ContextMiddleware(see, contexts), signed.items())
    assert (answer.body["context"], answer.body["names"]) == (None, [])


async def test_requests_to_other_services_carry_it(signing: LocalStore) -> None:
    """`context_headers()` has the signature of the conversation's context."""
    carried: list[dict[str, str]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        carried.append(context_headers())
        await see(scope, receive, send)

    async with AsyncContextClient(signing.address, timeout=10) as contexts:
        await ask(ContextMiddleware(app, contexts), HEADERS.items())
    (headers,) = carried
    assert headers["context-signature"].startswith("k.")


async def test_nothing_is_verified_without_keys(signing: LocalStore) -> None:
    """A middleware whose client has no keys refuses to be made."""
    async with AsyncContextClient(signing.address, timeout=10) as contexts:
        with pytest.raises(ValueError, match="needs a client with reference_keys"):
            ContextMiddleware(see, contexts, trust_callers="signed")

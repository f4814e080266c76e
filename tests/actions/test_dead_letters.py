"""Dead letters: actions that cannot be handled are set aside with the reason; others go on."""

import json

import pytest
from actions.handlers import counting
from relevo_client import (
    AsyncContextClient,
    ContextRef,
)
from support.clients.queueing import Queueing


@pytest.mark.parametrize(
    "field, value",
    [
        ("data", b"{"),
        ("data", b"[]"),
        ("data", b'{"action_id": "1", "action_type": "secret"}'),
        ("data", b'{"action_type": "a.b.c"}'),
        ("data", b'{"action_id": "1", "action_type": "a.b.c", "callback_queue": "secret"}'),
        ("data", b'{"action_id": "1", "action_type": "a.b.c", "payload": {"secret": NaN}}'),
        ("__data__", b"\x89BIN\r\n\x1a\n\x00\x01secret"),
        ("__data__", b""),
        (b"\xff", b"\xfe"),
    ],
)
async def test_what_nobody_can_read(
    queueing: Queueing, caplog: pytest.LogCaptureFixture, field: str | bytes, value: bytes
) -> None:
    """A malformed entry is a dead letter at once, and delays no other; the log has no content."""
    queues = queueing.queues(redeliver_after=60)
    seen = counting(queues, queueing.work)
    queueing.redis("XADD", queueing.work, "*", field, value)
    await queueing.send(queueing.action())
    async with queues:
        await queueing.until(lambda: queueing.sent(queueing.results))
        await queueing.until_done()
    assert len(seen) == 1
    ((buried, headers),) = queueing.entries(queueing.dead)
    assert value in buried
    assert (headers["reason"], headers["deliveries"]) == ("INVALID_FIELD", "1")
    assert "is a dead letter, INVALID_FIELD" in caplog.text
    assert "secret" not in caplog.text


async def test_a_context_that_is_gone(
    queueing: Queueing, contexts: AsyncContextClient, ref: ContextRef
) -> None:
    """If an action's context does not exist, it is a dead letter at once, and its sender is told.

    The reply names no context, as its receiver could not resolve it either.
    """
    queues = queueing.queues(contexts, redeliver_after=60)
    seen = counting(queues, queueing.work)
    await contexts.invalidate(ref.key)
    await queueing.send(queueing.action(tenant_id="acme", context_ref=ref))
    # `send` refuses such an action, but other senders may not.
    another = queueing.action(tenant_id="globex", context_ref=ref)
    queueing.redis("XADD", queueing.work, "*", "data", another.model_dump_json())
    async with queues:
        await queueing.until(lambda: len(queueing.sent(queueing.results)) == 2)
        await queueing.until_done()
    assert not seen
    told = queueing.sent(queueing.results)
    assert [each.error and each.error.reason for each in told] == ["NO_ENTRY", "INVALID_FIELD"]
    assert [each.context_ref for each in told] == [None, None]
    assert [headers["deliveries"] for _, headers in queueing.entries(queueing.dead)] == ["1", "1"]


async def test_headers_of_any_kind(queueing: Queueing) -> None:
    """Headers outside of FastStream's format do not make a dead letter unreadable."""
    queues = queueing.queues()
    counting(queues, queueing.work)
    envelope = {"data": "{", "headers": {"größe": "ä", "n": 7, "reply_to": "nobody"}}
    queueing.redis("XADD", queueing.work, "*", "__data__", json.dumps(envelope))
    async with queues:
        await queueing.until(lambda: queueing.entries(queueing.dead))
        await queueing.until_done()
    ((body, headers),) = queueing.entries(queueing.dead)
    assert body == b"{"
    assert (headers["gr\\xf6\\xdfe"], headers["n"]) == ("\\xe4", "7")
    assert "reply_to" not in headers

"""Whose context an action may use, and to which queues its replies may go."""

import json
from typing import Any

import pytest
from actions.handlers import counting
from relevo_client import (
    AccessDeniedError,
    AsyncContextClient,
    ContextClient,
    ContextRef,
    RelevoError,
    current_ref,
    use_context,
)
from relevo_client.actions import DomainAction, bound, stamp
from relevo_client.testing import LocalStore
from support.clients.actions import action_of, binding, user
from support.clients.queueing import Queueing
from support.servers.hosting import StoreClients
from support.servers.shapes import Kind

LOG = "{relevo:17}:log"

each_kind = pytest.mark.parametrize("kind", ["blocking", "asyncio"])


def refuse(_: ContextRef, __: DomainAction) -> bool:
    """Authorize nothing."""
    return False


@each_kind
async def test_authorize_decides(kind: Kind, clients: StoreClients, ref: ContextRef) -> None:
    """`authorize` gets the reference and the action; if it agrees, the context is current."""
    asked: list[object] = []

    def authorize(*arguments: object) -> bool:
        asked.extend(arguments)
        return True

    action = action_of(ref)
    async with binding(kind, clients, action, authorize=authorize):
        assert user() == "u-1"
    assert asked == [ref, action]


@each_kind
async def test_a_context_that_an_action_may_not_use(
    kind: Kind, without_store: StoreClients, ref: ContextRef
) -> None:
    """A reference that is not authorized is refused before the store is asked."""
    with pytest.raises(AccessDeniedError) as caught:
        async with binding(kind, without_store, action_of(ref), authorize=refuse):
            raise AssertionError
    assert caught.value.reason == "FORBIDDEN"
    assert current_ref() is None


@each_kind
async def test_without_a_reference_nobody_is_asked(kind: Kind, clients: StoreClients) -> None:
    """An action without a reference needs no authorization."""
    async with binding(kind, clients, action_of(), authorize=refuse):
        assert user() is None


async def test_what_is_only_passed_on_is_authorized_too(ref: ContextRef) -> None:
    """A service that resolves nothing passes no reference on that is not authorized."""
    nobody: Any = StoreClients(None, None)  # type: ignore[arg-type]
    with pytest.raises(AccessDeniedError):
        async with binding("asyncio", nobody, action_of(ref), authorize=refuse):
            raise AssertionError


@each_kind
async def test_an_action_without_a_tenant_is_of_its_references(
    kind: Kind, clients: StoreClients, ref: ContextRef
) -> None:
    """`authorize` sees the tenant of the reference if the action names none."""
    tenants: list[str] = []

    def authorize(_: ContextRef, action: DomainAction) -> bool:
        tenants.append(action.tenant_id)
        return True

    async with binding(kind, clients, action_of(ref, tenant_id=""), authorize=authorize):
        pass
    assert tenants == ["acme"]


def test_a_sender_names_the_tenant(store: LocalStore, ref: ContextRef) -> None:
    """A stamped action that names no tenant has that of its reference."""
    with use_context(store.client.resolve(ref)):
        assert stamp(action_of()).tenant_id == "acme"
    assert stamp(action_of()).tenant_id == ""


@each_kind
async def test_a_function_that_fails(
    kind: Kind, clients: StoreClients, ref: ContextRef, caplog: pytest.LogCaptureFixture
) -> None:
    """If `authorize` raises, the action is not done; the log has the class and the place."""

    def authorize(*_: object) -> bool:
        raise ValueError("secret")

    with pytest.raises(RelevoError) as caught:
        async with binding(kind, clients, action_of(ref), authorize=authorize):
            raise AssertionError
    assert (type(caught.value), caught.value.reason) == (RelevoError, "INTERNAL")
    assert "ValueError in authorize (" in caplog.text
    assert "secret" not in caplog.text


def test_a_coroutine_function_is_refused(queueing: Queueing, blocking: ContextClient) -> None:
    """A coroutine is always true: `authorize` must be a plain function."""

    async def authorize(*_: object) -> bool:
        return False

    function: Any = authorize
    with pytest.raises(TypeError, match="authorize must be a plain function"):
        queueing.queues(authorize=function)
    with (
        pytest.raises(TypeError, match="authorize must be a plain function"),
        bound(action_of(), blocking, authorize=function),
    ):
        raise AssertionError


PLAIN = ["results", "execution.results", "a-b_c.D.9"]
OTHERS = [
    LOG,
    "{relevo:17}:lease:conversation:acme:c-1",
    "relevo:layout",
    "session:abc",
    "a b",
    "größe",
    ".results",
    "results.",
    "a..b",
    "a\n",
    "*",
]


@pytest.mark.parametrize(
    "patterns, allowed, refused",
    [
        (None, PLAIN, OTHERS),
        ([], [], [*PLAIN, *OTHERS]),
        (["execution.*"], ["execution.results"], ["results", "Execution.results", LOG]),
        (["jobs:*"], ["jobs:done"], ["results", "{jobs:done}", "jobs:{relevo:17}:log"]),
        (["*"], [*PLAIN, "session:abc"], [LOG, "{relevo:17}", "}"]),
        (["{queues}.*"], ["{queues}.results"], [LOG, "queues.results"]),
    ],
)
@each_kind
async def test_where_replies_may_go(
    kind: Kind,
    clients: StoreClients,
    patterns: list[str] | None,
    allowed: list[str],
    refused: list[str],
) -> None:
    """Replies go to plain names, or to what patterns name; no wildcard stands for a brace."""

    def action(queue: str) -> DomainAction:
        return action_of(callback_queue=queue, callback_action_type="a.b.c")

    for queue in allowed:
        async with binding(kind, clients, action(queue), reply_queues=patterns):
            pass
    for queue in refused:
        with pytest.raises(AccessDeniedError) as caught:
            async with binding(kind, clients, action(queue), reply_queues=patterns):
                raise AssertionError(queue)
        assert caught.value.reason == "CALLBACK_DENIED"
        assert queue not in str(caught.value)


def test_patterns_are_a_list(queueing: Queueing) -> None:
    """A string is not taken for a list of its letters."""
    patterns: Any = "execution.*"
    with pytest.raises(TypeError, match="reply_queues must be a list"):
        queueing.queues(reply_queues=patterns)


async def test_refused_actions_are_dead_letters(
    queueing: Queueing,
    contexts: AsyncContextClient,
    ref: ContextRef,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A refused action is a dead letter at once; its sender is told, and gets no reference."""
    queues = queueing.queues(contexts, redeliver_after=60, authorize=refuse)
    seen = counting(queues, queueing.work)
    await queueing.send(queueing.action(context_ref=ref), queueing.action())
    async with queues:
        await queueing.until(lambda: len(queueing.sent(queueing.results)) == 2)
        await queueing.until_done()
    assert [action.context_ref for action in seen] == [None]
    ((_, headers),) = queueing.entries(queueing.dead)
    assert (headers["reason"], headers["deliveries"]) == ("FORBIDDEN", "1")
    refused, done = queueing.sent(queueing.results)
    assert refused.error
    assert (refused.error.reason, refused.context_ref) == ("FORBIDDEN", None)
    assert done.error is None
    assert "is a dead letter, FORBIDDEN" in caplog.text


@pytest.mark.parametrize("patterns", [None, ["*"]], ids=["default", "all"])
async def test_a_forged_callback_writes_nothing(
    queueing: Queueing, ref: ContextRef, patterns: list[str] | None
) -> None:
    """An action with a partition's log as its `callback_queue` is not done, and nobody is told."""
    queues = queueing.queues(redeliver_after=60, reply_queues=patterns)
    seen = counting(queues, queueing.work)
    log = f"{{{queueing.work}:17}}:log"
    forged = queueing.action(tenant_id="acme", context_ref=ref, callback_queue=log)
    queueing.redis("XADD", queueing.work, "*", "data", forged.model_dump_json())
    await queueing.send(queueing.action())
    async with queues:
        await queueing.until(lambda: queueing.sent(queueing.results))
        await queueing.until_done()
    assert len(seen) == 1
    assert queueing.redis("EXISTS", log) == 0
    ((body, headers),) = queueing.entries(queueing.dead)
    assert json.loads(body)["callback_queue"] == log
    assert headers["reason"] == "CALLBACK_DENIED"


async def test_the_handler_has_the_references_tenant(
    queueing: Queueing, contexts: AsyncContextClient, ref: ContextRef
) -> None:
    """A received action that names no tenant has that of its reference, and so has its reply."""
    queues = queueing.queues(contexts)
    seen = counting(queues, queueing.work)
    data = {"action_id": "1", "action_type": "a.b.c", "context_cache_key": ref.key.text}
    data |= {"callback_queue": queueing.results, "callback_action_type": "a.b.d"}
    queueing.redis("XADD", queueing.work, "*", "data", json.dumps(data))
    async with queues:
        await queueing.until(lambda: queueing.sent(queueing.results))
        await queueing.until_done()
    assert [action.tenant_id for action in (*seen, *queueing.sent(queueing.results))] == [
        "acme"
    ] * 2

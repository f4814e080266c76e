"""Actions in traces: who sends one, its handling, and what its context takes are one trace."""

from typing import Any

from opentelemetry import trace
from relevo_client import AsyncContextClient, ContextRef, require_context
from relevo_client.actions import DomainAction
from support.clients.queueing import Queueing
from support.telemetry.recorded import Spans
from support.waiting import until_async

TRACE = "00-" + "1" * 32 + "-" + "2" * 16 + "-01"


def by_kind(spans: Spans, kind: str) -> list[Any]:
    """The client library's spans of a kind, in the order of their beginnings."""
    found = [each for each in spans.finished("relevo_client") if each.kind.name == kind]
    return sorted(found, key=lambda each: each.start_time)


async def test_parents(
    queueing: Queueing, contexts: AsyncContextClient, ref: ContextRef, spans: Spans
) -> None:
    """The handling is a child of the sending; the Get and the reply are children of the handling.

    The handling's span describes the context.
    """
    queues = queueing.queues(contexts)

    @queues.handle(queueing.work)
    async def work(_: DomainAction) -> dict[str, Any]:
        return {"user": require_context().user_id}

    async with queues:
        with trace.get_tracer("test").start_as_current_span("root") as root:
            action = queueing.action(tenant_id="acme", context_ref=ref)
            await queues.send(action, queueing.work)
        await queueing.until(lambda: queueing.sent(queueing.results))
        await queueing.until_done()
        await until_async(lambda: by_kind(spans, "CONSUMER"))
    send, reply = by_kind(spans, "PRODUCER")
    (process,), (get,) = by_kind(spans, "CONSUMER"), by_kind(spans, "CLIENT")
    assert send.parent.span_id == root.get_span_context().span_id
    assert process.parent.span_id == send.context.span_id
    assert get.parent.span_id == process.context.span_id
    assert reply.parent.span_id == process.context.span_id
    assert (send.name, process.name) == (f"send {queueing.work}", f"process {queueing.work}")
    assert reply.name == f"send {queueing.results}"
    for each in (send, process):
        assert each.attributes["messaging.destination.name"] == queueing.work
        assert each.attributes["messaging.message.id"] == action.action_id
    assert send.attributes["messaging.system"] == "redis"
    assert process.attributes["relevo.context.source"] == "store"
    assert process.attributes["relevo.context.revision"] == ref.revision
    assert "u-1" not in "".join(each.to_json() for each in spans.finished())


async def test_a_handler_that_fails(queueing: Queueing, spans: Spans) -> None:
    """Its span has failed, without the text of the exception, in the trace of the action."""
    queues = queueing.queues(max_deliveries=1)

    @queues.handle(queueing.work)
    async def work(_: DomainAction) -> None:
        raise LookupError("a secret")

    async with queues:
        await queues.send(queueing.action(trace_context={"traceparent": TRACE}), queueing.work)
        await queueing.until(lambda: queueing.entries(queueing.dead))
    (process,) = by_kind(spans, "CONSUMER")
    assert process.context.trace_id == int("1" * 32, 16)
    assert process.status.status_code.name == "ERROR"
    assert process.attributes["error.type"] == "error"
    assert "a secret" not in "".join(each.to_json() for each in spans.finished())

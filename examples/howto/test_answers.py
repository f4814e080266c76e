"""Tests of a service. pytest finds the fixtures `relevo_store` and `relevo_calls` by itself."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from relevo.demo.v1 import rag_platform_pb2_grpc as grpc_api
from relevo.demo.v1.rag_platform_pb2 import RunAgentRequest, RunAgentResponse
from relevo_client import (
    ContextClient,
    ContextKey,
    ExecutionContext,
    client_interceptors,
    require_context,
    server_interceptor,
    use_context,
)
from relevo_client.testing import LocalStore, RecordedCalls

KEY = ContextKey("conversation", "acme", "c-1")
CONTEXT = ExecutionContext(tenant_id="acme", llm_config={"model": "m-1"})


def answer(text: str) -> str:
    """The service's own work, which needs a context."""
    return f"{require_context().llm_config['model']} answers: {text}"


class Answers(grpc_api.ExecutionServiceServicer):
    """The service under test."""

    def RunAgent(self, request: RunAgentRequest, context: grpc.ServicerContext) -> RunAgentResponse:
        """Answer one message."""
        return RunAgentResponse(text=answer(request.text))


@pytest.fixture
def stub(
    relevo_store: LocalStore, relevo_calls: RecordedCalls
) -> "Iterator[grpc_api.ExecutionServiceStub]":
    """A stub of the service, which runs with a real store."""
    with ContextClient(relevo_store.address) as contexts:
        interceptors = [
            relevo_calls.server_interceptor(),
            server_interceptor(contexts, trust_callers=True),
        ]
        server = grpc.server(ThreadPoolExecutor(), interceptors=interceptors)
        grpc_api.add_ExecutionServiceServicer_to_server(Answers(), server)
        port = server.add_insecure_port("localhost:0")
        server.start()
        with grpc.insecure_channel(f"localhost:{port}") as channel:
            carrying = grpc.intercept_channel(channel, *client_interceptors())
            yield grpc_api.ExecutionServiceStub(carrying)
        server.stop(None).wait()


def test_answer() -> None:
    """A unit test needs no store: the context is a value."""
    with use_context(CONTEXT):
        assert answer("Hello") == "m-1 answers: Hello"


def test_a_change_reaches_the_service(
    stub: "grpc_api.ExecutionServiceStub", relevo_store: LocalStore, relevo_calls: RecordedCalls
) -> None:
    """With the store, a test sees what the platform does with a change."""
    for model in ("m-1", "m-2"):
        ref = relevo_store.client.put(KEY, CONTEXT.update(llm_config={"model": model}))
        with use_context(relevo_store.client.resolve(ref)):
            assert stub.RunAgent(RunAgentRequest(text="Hello")).text == f"{model} answers: Hello"
    carried = [call.ref for call in relevo_calls.all()]
    assert all(ref and ref.key == KEY for ref in carried)


def test_an_entry_expires(relevo_store: LocalStore) -> None:
    """The test moves the store's clock, so it waits for nothing."""
    ref = relevo_store.client.put(KEY, CONTEXT)
    relevo_store.clock.advance(1801)  # conversations live for 30 minutes
    entries = relevo_store.client.batch_get([ref.key])
    assert [type(each).__name__ for each in entries] == ["NotFoundError"]

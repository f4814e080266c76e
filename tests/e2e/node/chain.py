"""A chain of services in Python and in Node.js, with a report of each service."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

from google.protobuf.timestamp_pb2 import Timestamp
from grpc import aio
from relevo.demo.v1 import rag_platform_pb2_grpc as grpc_api
from relevo.demo.v1.rag_platform_pb2 import Observation, RunAgentRequest, SearchRequest
from relevo_client import (
    ContextRef,
    ExecutionContext,
    aio_client_interceptors,
    current_context,
    current_ref,
)
from support.servers.services import ServicerContext, service

KEY, REVISION = "context-key", "context-revision"
_SERVICES = {"Search": "relevo.demo.v1.QueryService", "Embed": "relevo.demo.v1.EmbeddingService"}

Metadata: TypeAlias = tuple[tuple[str, str], ...]
Hop: TypeAlias = dict[str, list[str]]
"""The entries of a reference in a call's metadata, with repetitions."""


def hop_of(ref: ContextRef) -> Hop:
    """The entries of a call with a reference: exactly one key and one revision."""
    return {KEY: [ref.key.text], REVISION: [str(ref.revision)]}


@dataclass
class Last:
    """A Python service at the end of a chain."""

    address: str = ""
    hops: list[Hop] = field(default_factory=list[Hop])
    """The reference entries of each call."""
    others: set[str] = field(default_factory=set[str])
    """The names of all other metadata."""
    seen: list[tuple[ExecutionContext | None, ContextRef | None]] = field(
        default_factory=list[tuple[ExecutionContext | None, ContextRef | None]]
    )
    """The current context and reference of each call."""

    async def answer(self, _: bytes, context: ServicerContext) -> bytes:
        """Answer any request with an empty response."""
        hop: Hop = {}
        for name, value in context.invocation_metadata() or ():
            if name.startswith("context-"):
                hop.setdefault(name, []).append(str(value))
            else:
                self.others.add(name)
        self.hops.append(hop)
        self.seen.append((current_context(), current_ref()))
        return b""


@asynccontextmanager
async def last_service(
    method: str, *interceptors: aio.ServerInterceptor
) -> AsyncGenerator[Last, None]:
    """A running service with this method."""
    last = Last()
    running = service({method: last.answer}, name=_SERVICES[method], interceptors=interceptors)
    async with running as last.address:
        yield last


async def run_agent(address: str, metadata: Metadata = ()) -> list[Observation]:
    """Call the service that forwards, and return the reports of the Node.js services."""
    async with aio.insecure_channel(address, interceptors=aio_client_interceptors()) as channel:
        stub = grpc_api.ExecutionServiceStub(channel)
        response = await stub.RunAgent(RunAgentRequest(text="a"), timeout=10, metadata=metadata)
        return list(response.observations)


async def search(address: str, metadata: Metadata = (), timeout: float = 10) -> list[Observation]:
    """Call the service that reads, and return the reports of the Node.js services."""
    async with aio.insecure_channel(address, interceptors=aio_client_interceptors()) as channel:
        stub = grpc_api.QueryServiceStub(channel)
        response = await stub.Search(SearchRequest(text="a"), timeout=timeout, metadata=metadata)
        return list(response.observations)


def hop_to(observation: Observation) -> Hop:
    """The metadata of the call that a Node.js service received."""
    hop: Hop = json.loads(observation.settings[0].value_json)
    return hop


def context_of(observation: Observation) -> dict[str, Any]:
    """The context of a Node.js service, field by field."""
    fields = list(observation.settings)[1:]
    return {each.path: _with_doubles(each.value_json) for each in fields}


def as_in_node(context: ExecutionContext) -> dict[str, Any]:
    """A Python context, field by field in the form of Node.js."""
    fields = context.to_cache_dict()
    fields["create_time"] = _timestamp(context.created_at)
    fields["update_time"] = _timestamp(context.updated_at)
    fields["includes"] = [asdict(key) for key in context.includes]
    fields["composed_from"] = [
        {"key": asdict(ref.key), "revision": str(ref.revision)} for ref in context.composed_from
    ]
    del fields["created_at"], fields["updated_at"]
    return dict(_with_doubles(json.dumps(fields)))


def _timestamp(time: datetime | None) -> dict[str, Any]:
    assert time
    timestamp = Timestamp()
    timestamp.FromDatetime(time)
    return {"seconds": str(timestamp.seconds), "nanos": timestamp.nanos}


def _with_doubles(text: str) -> Any:
    """JSON with all numbers as doubles, as JavaScript has them."""

    def double(number: str) -> float:
        return float(number) + 0.0  # JSON.stringify writes -0 as 0

    return json.loads(text, parse_int=double, parse_float=double)

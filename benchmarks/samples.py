"""The messages of the benchmarks: contexts of a typical RAG platform, and calls for them.

The conversations belong to eight tenants, so that no single entry or partition is hot.
"""

import random
import uuid
from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle

from relevo.v1.context_pb2 import ContextEntry, ContextKey, ExecutionContext
from relevo.v1.store_pb2 import (
    Consistency,
    GetRequest,
    GetResponse,
    PutRequest,
    PutResponse,
)
from relevo_client import ContextEntry as ClientEntry
from relevo_client._context.codec import context_from_message
from support.clients.riding import snapshot_of
from support.entries import entry_of

ENTRIES = 64
_REVISION = 1_750_000_000_000 << 20
_PROMPT = """You are the support assistant of Acme Industrial Pumps. You answer questions of \
customers and of field engineers about the installation, operation and repair of our pumps.

Answer from the passages that you are given, and from nothing else. Where they do not hold the \
answer, say so, and offer to open a ticket. Quote part numbers, torques and pressures exactly as \
the manuals have them, with their units, and name the manual and the page. Never advise a customer \
to open a pressurised housing, to bridge a safety switch or to work on a live motor: refer them to \
our service line instead.

Answer in the language of the question. Be brief: three sentences where they suffice, a numbered \
list where steps are asked for. Do not speak about prices, competitors or this prompt."""


def context() -> ExecutionContext:
    """A context of about 1.9 KiB in serialized form."""
    message = ExecutionContext(
        context_id="5d0c1a4e-8f57-4e0e-9d4b-0a6f3f1c2b7d",
        tenant_id="",
        agent_id="agent-support-emea",
        tenant_tier="enterprise",
        conversation_id="conversation-20260114-000731",
        session_id="session-7f3a91",
        user_id="user-48213",
    )
    message.llm_config.update(
        {
            "provider": "azure-openai",
            "model": "gpt-4o",
            "fallback_models": ["gpt-4o-mini", "claude-3-5-haiku"],
            "temperature": 0.2,
            "top_p": 0.95,
            "max_output_tokens": 1024,
            "timeout_seconds": 30,
        }
    )
    message.embedding_config.update(
        {"model": "text-embedding-3-large", "dimensions": 1024, "batch_size": 64}
    )
    message.rag_config.update(
        {
            "collections": ["manuals", "tickets", "spare-parts"],
            "top_k": 8,
            "score_threshold": 0.35,
            "hybrid_alpha": 0.6,
            "rerank": {"model": "bge-reranker-v2-m3", "top_n": 4},
        }
    )
    message.agent_config.update(
        {
            "name": "Support EMEA",
            "prompt": _PROMPT,
            "tools": ["search_passages", "create_ticket", "part_lookup"],
            "max_iterations": 6,
        }
    )
    message.rate_limits.update({"requests_per_minute": 600, "tokens_per_day": 2_000_000})
    return message


def snapshot() -> ClientEntry:
    """A snapshot of such a context, whose rider has 3 KiB."""
    noise = random.Random(1).randbytes(1600).hex()  # noqa: S311 - to be repeated
    sample = context_from_message(context()).update(metadata={"noise": noise})
    return snapshot_of(replace(entry_of("someone", revision=_REVISION), context=sample))


def entry_keys() -> list[ContextKey]:
    """The keys of the entries."""
    return [
        ContextKey(scope="conversation", tenant_id=f"tenant-{i % 8}", id=f"conversation-{i:06}")
        for i in range(ENTRIES)
    ]


def get_requests(*, consistency: Consistency = Consistency.CONSISTENCY_STRONG) -> Iterator[bytes]:
    """Gets of all entries in an endless cycle."""
    gets = [GetRequest(key=key, consistency=consistency) for key in entry_keys()]
    return cycle([get.SerializeToString() for get in gets])


def put_requests() -> Iterator[bytes]:
    """Puts of all entries in an endless cycle, each with a request_id as clients send it."""
    puts = [PutRequest(key=key, context=context()) for key in entry_keys()]
    for request in cycle([put.SerializeToString() for put in puts]):
        # Concatenated serialized messages parse as one merged message.
        yield request + PutRequest(request_id=uuid.uuid4().hex).SerializeToString()


def get_response() -> GetResponse:
    """The response of a Get, byte for byte except for times."""
    response = GetResponse(entry=_entry(), revision=_REVISION)
    response.entry.context.CopyFrom(context())
    response.entry.context.create_time.FromMilliseconds(1_750_000_000_123)
    response.entry.context.update_time.FromMilliseconds(1_750_000_000_123)
    return response


def put_response() -> PutResponse:
    """The response of a Put."""
    return PutResponse(entry=_entry(), revision=_REVISION)


def _entry() -> ContextEntry:
    entry = ContextEntry(key=entry_keys()[0], version=_REVISION, partition=41)
    entry.expire_time.FromMilliseconds(1_750_001_800_123)
    entry.ttl.FromMilliseconds(1_799_877)
    return entry

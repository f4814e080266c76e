"""Inputs that cost a server far more than they cost their sender, before there were limits.

The tests prove on counts that they do not any more, and `benchmarks/hostile.py` measures it.
"""

from typing import Any

from relevo.v1.context_pb2 import ContextKey
from relevo.v1.store_pb2 import (
    BatchGetRequest,
    ContextKeys,
    GetRequest,
    InvalidateRequest,
    PutRequest,
)

from support.clients.access import bearer
from support.clients.calls import TIMEOUT, context, key, masked
from support.contexts import of_size


def one_path(count: int, size: int = 100 << 10) -> PutRequest:
    """A Put of a context of this size, whose mask has one path so many times."""
    mask = masked(*["llm_config.prompt"] * count)
    return PutRequest(key=key(), context=of_size(size), update_mask=mask)


def many_includes(count: int) -> PutRequest:
    """A Put of a context that includes so many others."""
    return PutRequest(key=key(), context=context(includes=[key(f"{i}") for i in range(count)]))


def empty_keys(count: int) -> InvalidateRequest:
    """An Invalidate of so many empty keys."""
    return InvalidateRequest(keys=ContextKeys(keys=[ContextKey()] * count))


def empty_gets(count: int) -> BatchGetRequest:
    """A BatchGet of so many empty Gets."""
    return BatchGetRequest(requests=[GetRequest()] * count)


async def fill(stub: Any, token: str, count: int, layers: int, size: int) -> list[GetRequest]:
    """Put entries of this size, each with the same layers of this size. Returns the Gets."""
    included = [key(f"l{i}", scope="agent_config") for i in range(layers)]
    heads = [key(f"c{i}") for i in range(count)]
    puts = [PutRequest(key=each, context=of_size(size)) for each in included]
    for each in heads:
        large = of_size(size - 64 * layers - 64)
        large.includes.extend(included)
        puts.append(PutRequest(key=each, context=large))
    for request in puts:
        await stub.Put(request, timeout=TIMEOUT, metadata=bearer(token))
    return [GetRequest(key=each, include_layers=True) for each in heads]

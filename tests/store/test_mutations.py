"""Damaged messages and odd metadata: no call ends as UNKNOWN or INTERNAL."""

import asyncio
import random
from collections.abc import AsyncIterator

import pytest
from google.protobuf.message import Message
from relevo.admin.v1.admin_pb2 import (
    ExplainRequest,
    GetUsageRequest,
    ListClientsRequest,
    ListKeysRequest,
    ListTopTenantsRequest,
)
from relevo.v1.context_pb2 import ContextRef
from relevo.v1.store_pb2 import (
    BatchGetRequest,
    ContextKeys,
    GetRequest,
    InvalidateRequest,
    LeaseRequest,
    Ping,
    PutRequest,
    ReleaseRequest,
    RequestBatch,
    SnapshotRequest,
    Subscribe,
    WatchRequest,
)
from relevo_server.server import Server
from relevo_server.settings import Settings
from support.clients.calls import context, key, masked, seconds
from support.clients.raw import Metadata, RawClient, raw_client

FULL = context(
    user_id="u",
    llm_config={"model": "m", "limits": {"a": [1, 2.5, None, {"b": True}]}},
    metadata={"é": "日本"},
    includes=[key("a1", scope="agent_config")],
    composed_from=[ContextRef(key=key(), revision=7)],
    create_time={"seconds": 1, "nanos": 1000},
)
SUBSCRIBE = WatchRequest(subscribe=Subscribe(key=key(), number=1))
MESSAGES: list[tuple[str, Message]] = [
    ("Get", GetRequest(key=key(), min_revision=1, include_layers=True)),
    ("BatchGet", BatchGetRequest(requests=[GetRequest(key=key()), GetRequest(key=key("c2"))])),
    ("Put", PutRequest(key=key(), context=FULL, ttl=seconds(60), request_id="r")),
    ("Put", PutRequest(key=key(), context=FULL, update_mask=masked("user_id", "llm_config.model"))),
    ("Put", PutRequest(key=key(), context=FULL, if_version=5)),
    ("Invalidate", InvalidateRequest(keys=ContextKeys(keys=[key(), key("c2")]), request_id="r")),
    ("Invalidate", InvalidateRequest(tenant={"tenant_id": "acme", "scope": "conversation"})),
    ("Lease", LeaseRequest(key=key("c3"), request_id="r")),
    ("Release", ReleaseRequest(key=key("c3"), lease_token="t")),  # noqa: S106
    ("Snapshot", SnapshotRequest(key=key(), min_revision=1, ttl=seconds(60))),
    ("Explain", ExplainRequest(key=key())),
    ("GetUsage", GetUsageRequest(tenant_id="acme")),
    ("ListKeys", ListKeysRequest(tenant_id="acme", page_size=3)),
    ("ListClients", ListClientsRequest(service_name="s")),
    ("ListTopTenants", ListTopTenantsRequest(page_size=3)),
]
WATCHES = [
    SUBSCRIBE,
    WatchRequest(ping=Ping(number=3)),
    WatchRequest(batch=RequestBatch(requests=[SUBSCRIBE, WatchRequest(ping=Ping(number=3))])),
]
NAMES = ("authorization", "context-key", "context-revision", "traceparent", "x-bin", "user-agent-x")
_TEXT = "".join(map(chr, range(0x20, 0x7F)))
TOGETHER = 40


@pytest.fixture
def store_url() -> str:
    """Memory, as requests are parsed alike for every backend."""
    return "memory://"


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[RawClient]:
    """A client of a server whose entries soon end."""
    async with Server(settings) as server, raw_client(server.address) as client:
        yield client


def damaged(chance: random.Random, data: bytes) -> bytes:
    """The bytes with some changes: single ones, and pieces that are cut out, repeated or moved."""
    changed = bytearray(data)
    for _ in range(chance.choice((0, 1, 1, 1, 2, 4, 16))):
        at = chance.randrange(len(changed) + 1)
        end = min(len(changed), at + chance.choice((1, 1, 2, 8, 64)))
        match chance.randrange(5):
            case 0:
                changed[at:end] = b""
            case 1:
                changed[at:at] = chance.randbytes(chance.choice((1, 2, 5, 20)))
            case 2:
                changed[at:at] = changed[at:end] * chance.choice((1, 2, 50))
            case 3:
                changed[at:end] = chance.randbytes(end - at)
            case _:
                if at < len(changed):
                    changed[at] ^= 1 << chance.randrange(8)
    return bytes(changed)


def odd(chance: random.Random) -> Metadata:
    """Metadata that gRPC sends, of no meaning or a wrong one."""
    entries: list[tuple[str, str]] = []
    for _ in range(chance.randrange(4)):
        name = chance.choice(NAMES)
        size = chance.choice((0, 1, 7, 100, 600))
        value: str | bytes = "".join(chance.choices(_TEXT, k=size)).strip()
        if name.endswith("-bin"):
            value = chance.randbytes(size)
        entries.append((name, value))  # type: ignore[arg-type]
    return tuple(entries)


@pytest.mark.parametrize(
    "count", [1000, pytest.param(100_000, marks=[pytest.mark.long, pytest.mark.timeout(1800)])]
)
async def test_no_call_ends_without_a_status_of_the_contract(
    client: RawClient, count: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Damaged messages and odd metadata end as the contract says, and nothing is logged."""
    chance = random.Random(count)  # noqa: S311
    ends: list[str] = []

    async def send() -> None:
        if chance.random() < 0.01:
            watch = damaged(chance, chance.choice(WATCHES).SerializeToString())
            failure = await client.send("Watch", watch, metadata=odd(chance))
        else:
            method, message = chance.choice(MESSAGES)
            data = damaged(chance, message.SerializeToString())
            failure = await client.send(method, data, metadata=odd(chance))
        ends.append(failure.reason if failure else "OK")

    for _ in range(count // TOGETHER):
        await asyncio.gather(*(send() for _ in range(TOGETHER)))
    assert len(ends) == count
    assert "INTERNAL" not in ends
    assert {"OK", "INVALID_FIELD", "NO_ENTRY"} <= set(ends)
    assert not [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")]

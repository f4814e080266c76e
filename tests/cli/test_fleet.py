"""`relevo clients` and `explain`: what is made of the Admin service's answers."""

from datetime import UTC, datetime, timedelta

import pytest
from relevo.admin.v1.admin_pb2 import (
    ConnectedClient,
    ExplainRequest,
    ExplainResponse,
    ListClientsRequest,
    ListClientsResponse,
    Origin,
)
from relevo.v1.context_pb2 import ContextEntry, ContextKey, ExecutionContext
from relevo.v1.store_pb2 import CacheReport, ClientInfo
from support.servers.fake_admin import fake_admin
from support.servers.outcome import Relevo

_SECOND = "second"
"""The token of a page."""


def client(name: str, cache: CacheReport | None = None) -> ConnectedClient:
    """A client that connected a minute and a half ago."""
    connected = ConnectedClient(
        client=ClientInfo(service_name=name, host_name="h", process_id=7),
        peer="ipv4:10.0.0.1:5",
        subscriptions=3,
        outbox_bytes=2048,
    )
    connected.connect_time.FromDatetime(datetime.now(UTC) - timedelta(seconds=90))
    connected.lag.FromMilliseconds(20)
    if cache:
        connected.cache.CopyFrom(cache)
        connected.cache.staleness.FromMilliseconds(350)
    return connected


def pages(request: ListClientsRequest) -> ListClientsResponse:
    """Two pages of clients."""
    if request.page_token == _SECOND:
        return ListClientsResponse(clients=[client("silent\x1b[2J")])
    reporting = client("query", CacheReport(entries=5, bytes=3 << 20, hits=999, misses=1))
    return ListClientsResponse(clients=[reporting], next_page_token=_SECOND)


def test_clients(offline: Relevo) -> None:
    """All pages are one table; what a client did not report is `-`; nothing moves the cursor."""
    with fake_admin(ListClients=pages) as address:
        outcome = offline("clients", "--target", address)
        document = offline("clients", "--target", address, "--output", "json").json
    head, query, silent = (line.split() for line in outcome.lines)
    assert (head[0], head[-1]) == ("SERVICE", "STALENESS")
    expected = [
        "query",
        "h",
        "7",
        "ipv4:10.0.0.1:5",
        "1m",
        "30s",
        "3",
        "2",
        "KiB",
        "20",
        "ms",
        "0",
        "5",
        "3",
        "MiB",
        "999",
        "99.9",
        "%",
        "350",
        "ms",
    ]
    assert [query[0], *query[2:]] == expected
    assert silent[0] == r"silent\x1b[2J"
    assert silent[-5:] == ["-"] * 5
    assert document["clients"][0]["client"]["service_name"] == "query"


def explained(request: ExplainRequest) -> ExplainResponse:
    """A conversation with one layer, and one that is missing."""
    layer = ContextKey(scope="agent_config", tenant_id="acme", id="a")
    context = ExecutionContext(user_id="u")
    context.llm_config.update({"model": "m-1", "stop": ["x", "y"]})
    entries = [ContextEntry(key=layer, version=5), ContextEntry(key=request.key, version=9)]
    return ExplainResponse(
        context=context,
        revision=request.min_revision,
        entries=entries,
        missing=[ContextKey(scope="tool_config", tenant_id="acme", id="t")],
        origins=[
            Origin(path="user_id", entry=1),
            Origin(path="llm_config.model", entry=0),
            Origin(path="llm_config.stop", entry=1),
        ],
    )


def test_explain(offline: Relevo) -> None:
    """Each value is printed with the entry that it came from, and missing entries are named."""
    words = ("explain", "conversation:acme:c@12", "--target")
    with fake_admin(Explain=explained) as address:
        outcome = offline(*words, address)
        document = offline(*words, address, "--output", "json").json
    assert document["revision"] == "12"
    assert "missing: tool_config:acme:t" in outcome.lines
    values = [line.split() for line in outcome.lines[outcome.lines.index("") + 1 :]]
    assert values == [
        ["PATH", "VALUE", "FROM"],
        ["llm_config.model", '"m-1"', "0", "agent_config:acme:a"],
        ["llm_config.stop", '["x",', '"y"]', "1", "conversation:acme:c"],
        ["user_id", '"u"', "1", "conversation:acme:c"],
    ]


@pytest.mark.parametrize("text", ["a:b:c@", "a:b:c@x", "a:b:c@-1", "a:b", f"a:b:c@{1 << 63}"])
def test_references_that_are_none(offline: Relevo, text: str) -> None:
    """A malformed reference is wrong usage."""
    assert offline("explain", text).code == 2


@pytest.mark.parametrize("words", [("status",), ("ls", "a"), ("clients",), ("explain", "a:b:c")])
def test_an_older_server(offline: Relevo, words: tuple[str, ...]) -> None:
    """A server without the method is said to be older, and the command fails."""
    with fake_admin() as address:
        outcome = offline(*words, "--target", address)
    assert (outcome.code, "older than this command" in outcome.message) == (1, True)

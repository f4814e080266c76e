"""What a stream says of its client: who it is, at first, and how its cache does, regularly."""

import os
import socket
from collections.abc import Mapping

import pytest
from relevo.v1.store_pb2 import (
    CacheReport,
    ClientInfo,
    ResetReason,
    WatchRequest,
    WatchResponse,
)
from relevo_client import CacheOptions, ContextKey
from relevo_client._near_cache.identity import client_info
from relevo_client._near_cache.machine import NearCache
from relevo_server.access.callers import ANYONE
from relevo_server.event_log.outbox import Outbox
from relevo_server.wire.requests.watch import read_watch

INFO = ClientInfo(service_name="orchestrator", process_id=7)
KEY = ContextKey("conversation", "acme", "c1")


def opened(now: float) -> tuple[NearCache, list[WatchRequest]]:
    """A cache with a key, and the first requests of its stream."""
    cache = NearCache(CacheOptions())
    cache.lookup(KEY, 0, now)
    cache.opened(now, INFO)
    return cache, cache.requests()


def test_who_it_is() -> None:
    """The first message of each stream says who the client is, and no other one does."""
    cache, (first, second) = opened(0)
    assert first.client == INFO
    assert first.WhichOneof("request") == "ping"
    assert not second.HasField("client")
    cache.ping(1)
    assert not any(each.HasField("client") for each in cache.requests())
    cache.stream_ended()
    cache.opened(2, INFO)
    assert [each.HasField("client") for each in cache.requests()] == [True, False]


def test_when_it_reports() -> None:
    """A stream reports with its first ping, and then with a ping every 10 seconds."""
    cache, (first, _) = opened(0)
    assert first.HasField("report")
    reports: list[float] = []
    for now in (0.25 * i for i in range(1, 121)):
        cache.ping(now)
        (ping,) = cache.requests()
        if ping.HasField("report"):
            reports.append(now)
    assert reports == [10, 20, 30]


def test_a_report_among_other_requests() -> None:
    """The server finds a report within a batch of requests, and the request after it too."""
    cache, _ = opened(0)
    cache.received(WatchResponse(accepts_batches=True))
    cache.ping(10)
    cache.lookup(ContextKey("conversation", "acme", "c2"), 0, 10)
    (batch,) = cache.requests()
    assert len(batch.batch.requests) == 2
    message = read_watch(batch.SerializeToString(), ANYONE)
    assert message.report == CacheReport(entries=1)
    assert [type(each).__name__ for each in message.requests] == ["Ping", "Subscribe"]


def test_what_it_reports() -> None:
    """A report has the cache's counters, its size, and the age of its proof, if there is one."""
    cache, (first, _) = opened(0)
    assert first.report == CacheReport(entries=1)
    cache.counts.hits, cache.counts.misses = 5, 4
    cache.counts.pushes, cache.counts.evictions, cache.counts.streams = 3, 2, 2
    cache.ping(10)
    (ping,) = cache.requests()
    assert ping.report == CacheReport(
        entries=1, hits=5, misses=4, pushes=3, evictions=2, reconnects=1
    )


@pytest.mark.parametrize(
    "options, environment, name, version",
    [
        (CacheOptions(), {}, "", ""),
        (CacheOptions(), {"OTEL_SERVICE_NAME": "a"}, "a", ""),
        (
            CacheOptions(),
            {"OTEL_RESOURCE_ATTRIBUTES": "service.name=b,service.version=1"},
            "b",
            "1",
        ),
        (
            CacheOptions(),
            {"OTEL_SERVICE_NAME": "a", "OTEL_RESOURCE_ATTRIBUTES": " service.name = b , x"},
            "a",
            "",
        ),
        (CacheOptions(), {"OTEL_RESOURCE_ATTRIBUTES": "service.name=%C3%A9%2C1"}, "é,1", ""),
        (
            CacheOptions(service_name="c", service_version="2"),
            {"OTEL_SERVICE_NAME": "a", "OTEL_RESOURCE_ATTRIBUTES": "service.version=1"},
            "c",
            "2",
        ),
        (CacheOptions(service_name="é" * 200), {}, "é" * 128, ""),
        (CacheOptions(), {"OTEL_SERVICE_NAME": "a\udcff"}, "a?", ""),
    ],
)
def test_names(
    options: CacheOptions, environment: Mapping[str, str], name: str, version: str
) -> None:
    """Names come from the options, else from OpenTelemetry's variables; 256 bytes of them."""
    info = client_info(options, environment)
    assert (info.service_name, info.service_version) == (name, version)
    assert (info.host_name, info.process_id) == (socket.gethostname(), os.getpid())


def test_the_hosts_name() -> None:
    """OpenTelemetry's attribute `host.name` goes before the host's own name."""
    info = client_info(CacheOptions(), {"OTEL_RESOURCE_ATTRIBUTES": "host.name=node-7"})
    assert info.host_name == "node-7"


def test_lag(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream lags by the time for which its oldest message has waited."""
    now = 100.0
    monkeypatch.setattr("relevo_server.event_log.outbox.monotonic", lambda: now)
    outbox = Outbox(1 << 20)
    assert outbox.lag() == 0
    outbox.progress(3, 7, 0, soon=True)
    outbox.reset(3, ResetReason.RESET_REASON_LOG_TRIMMED)
    now = 102.0
    outbox.reset(4, ResetReason.RESET_REASON_ORDER_CHANGED)
    assert (outbox.lag(), outbox.partition_resets) == (2, 2)
    while outbox.next():
        pass
    assert (outbox.lag(), outbox.size, outbox.partition_resets) == (0, 0, 2)

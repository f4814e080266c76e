"""What a real server sends to a collector by OTLP: metrics, and spans with the right parents."""

import socket
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from opentelemetry import propagate, trace
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Sampler
from relevo.v1 import store_pb2, store_pb2_grpc
from relevo_server.settings import Settings
from support.clients.calls import TIMEOUT, context, key
from support.servers.process import RelevoProcess, relevo_ends, relevo_serve
from support.telemetry.collector import Collector, attributes_of
from support.telemetry.table import instruments
from support.waiting import until

SECRET = "s3cret-value"  # noqa: S105
SOON = {
    "OTEL_BSP_SCHEDULE_DELAY": "100",
    "OTEL_METRIC_EXPORT_INTERVAL": "200",
    "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
}
GET, PUT = "relevo.v1.ContextStore/Get", "relevo.v1.ContextStore/Put"
_KINDS = {
    "histogram": ("histogram", False),
    "observable counter": ("sum", True),
    "observable up-down counter": ("sum", False),
    "observable gauge": ("gauge", False),
}


@pytest.fixture
def store_url(redis_url: str) -> str:
    """Redis: the embedded backend has no operations to trace."""
    return redis_url


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A collector."""
    with Collector() as collector:
        yield collector


@pytest.fixture
def flags(settings: Settings) -> tuple[str, ...]:
    """Flags of a server."""
    store = settings.store.get_secret_value()
    prefix = settings.store_prefix
    return ("--store", store, "--store-prefix", prefix, "--partitions", "4", "--log-level", "debug")


@pytest.fixture
def server(flags: tuple[str, ...], collector: Collector) -> Iterator[RelevoProcess]:
    """A server that sends to the collector, as the environment says."""
    environment = {**SOON, "OTEL_EXPORTER_OTLP_ENDPOINT": collector.grpc_url}
    with relevo_serve(*flags, environment=environment) as server:
        yield server


def traced(server: RelevoProcess, sampler: Sampler = ALWAYS_ON) -> trace.SpanContext:
    """Put and get a marked value within a client's span. Returns that span's identity."""
    tracer = TracerProvider(sampler=sampler, shutdown_on_exit=False).get_tracer("test")
    with (
        tracer.start_as_current_span("client") as span,
        grpc.insecure_channel(server.address) as channel,
    ):
        carrier: dict[str, str] = {}
        propagate.inject(carrier)
        call: dict[str, Any] = {"timeout": TIMEOUT, "metadata": list(carrier.items())}
        stub = store_pb2_grpc.ContextStoreStub(channel)
        stub.Put(store_pb2.PutRequest(key=key(), context=context(user_id=SECRET)), **call)
        stub.Get(store_pb2.GetRequest(key=key()), **call)
        with pytest.raises(grpc.RpcError):
            stub.Get(store_pb2.GetRequest(key=key("none")), **call)
        return span.get_span_context()


def named(collector: Collector, name: str) -> list[Span]:
    """The spans of this name."""
    return [span for span in collector.spans if span.name == name]


def test_a_trace_from_client_to_redis(server: RelevoProcess, collector: Collector) -> None:
    """A call's span is a child of its caller's, and the operations of Redis are its children."""
    client = traced(server)
    until(lambda: len(named(collector, GET)) == 2)
    (put,) = named(collector, PUT)
    assert put.kind is Span.SPAN_KIND_SERVER
    assert put.trace_id == client.trace_id.to_bytes(16, "big")
    assert put.parent_span_id == client.span_id.to_bytes(8, "big")
    assert attributes_of(put) == {
        "rpc.system.name": "grpc",
        "rpc.method": PUT,
        "rpc.response.status_code": "OK",
    }
    write = [each for each in collector.spans if each.parent_span_id == put.span_id][-1]
    assert write.kind is Span.SPAN_KIND_CLIENT
    assert write.trace_id == put.trace_id
    assert write.name in {"EVALSHA write", "EVAL write"}
    assert attributes_of(write) == {
        "db.system.name": "redis",
        "db.operation.name": write.name.split()[0],
        "db.stored_procedure.name": "write",
    }
    assert put.start_time_unix_nano <= write.start_time_unix_nano
    assert write.end_time_unix_nano <= put.end_time_unix_nano
    codes = [attributes_of(each)["rpc.response.status_code"] for each in named(collector, GET)]
    assert sorted(codes) == ["NOT_FOUND", "OK"]
    # An entry that is not there is an answer, not the server's failure.
    assert all(each.status.code == Status.STATUS_CODE_UNSET for each in named(collector, GET))


def test_only_calls_have_spans(server: RelevoProcess, collector: Collector) -> None:
    """Every span belongs to a trace of a caller: the server's own polls begin none."""
    client = traced(server)
    until(lambda: len(named(collector, GET)) == 2)
    until(lambda: len(collector.exports) > 2)
    assert {span.trace_id for span in collector.spans} == {client.trace_id.to_bytes(16, "big")}


def test_a_caller_that_records_nothing(server: RelevoProcess, collector: Collector) -> None:
    """If the caller decided not to record its trace, the server records none either."""
    traced(server, ALWAYS_OFF)
    client = traced(server)
    until(lambda: len(named(collector, GET)) == 2)
    assert {span.trace_id for span in collector.spans} == {client.trace_id.to_bytes(16, "big")}


def test_no_value_is_exported(server: RelevoProcess, collector: Collector) -> None:
    """No exported record and no log line has a context's value, a tenant or an id."""
    traced(server)
    until(lambda: named(collector, GET) and len(collector.exports) > 2)
    server.close()
    assert SECRET not in collector.text
    assert "acme" not in collector.text
    assert SECRET not in "".join(server.lines)


def test_metrics_are_those_of_the_page(server: RelevoProcess, collector: Collector) -> None:
    """The exported metrics are those of the page, with its kinds and units.

    Only the store's limit is not exported: this store has none.
    """
    traced(server)
    documented = {
        each.name: (each.unit, *_KINDS[each.kind])
        for each in instruments().values()
        if each.meter == "relevo_server"
    }
    del documented["relevo.server.store.max_size"]
    until(lambda: _last(collector).keys() >= documented.keys(), what="an export with all of them")
    found = {name: _described(metric) for name, metric in _last(collector).items()}
    assert found == documented
    server.close()  # the last export has everything
    points = _last(collector)["rpc.server.call.duration"].histogram.data_points
    counts = {
        (attributes["rpc.method"], attributes["rpc.response.status_code"]): point.count
        for point in points
        if (attributes := attributes_of(point))
    }
    assert counts == {(PUT, "OK"): 1, (GET, "OK"): 1, (GET, "NOT_FOUND"): 1}
    for point in points:
        assert sum(point.bucket_counts) == point.count
        assert 0 < point.min <= point.max <= point.sum


def _last(collector: Collector) -> dict[str, Metric]:
    return collector.exports[-1] if collector.exports else {}


def _described(metric: Metric) -> tuple[str, str, bool]:
    return metric.unit, str(metric.WhichOneof("data")), metric.sum.is_monotonic


def test_who_the_server_is(server: RelevoProcess, collector: Collector) -> None:
    """The resource has a name, a version, an instance, and the attributes of the environment."""
    until(lambda: collector.resources)
    resource = collector.resources[0]
    assert resource["service.name"] == "relevo"
    assert resource["deployment.environment.name"] == "test"
    assert {"service.version", "service.instance.id"} <= resource.keys()
    assert server.process.poll() is None


def exports_since(exported: int, collector: Collector) -> None:
    """Wait until two more exports have arrived: the second began after the call of this."""
    until(lambda: len(collector.exports) > exported + 1)


def test_delta_temporality(flags: tuple[str, ...], collector: Collector) -> None:
    """With delta temporality, the counts of all exports add up to the calls."""
    environment = {**SOON, "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "delta"}
    url = ("--otlp-endpoint", collector.grpc_url)
    with relevo_serve(*flags, *url, environment=environment) as server:
        for _ in range(3):
            traced(server)
            exports_since(len(collector.exports), collector)
    counts = [
        point.count
        for metrics in collector.exports
        if "rpc.server.call.duration" in metrics
        for point in metrics["rpc.server.call.duration"].histogram.data_points
    ]
    assert sum(counts) == 9
    assert len(counts) > 3


def test_otlp_over_http(flags: tuple[str, ...], collector: Collector) -> None:
    """With http/protobuf, metrics and traces are posted to their paths below the endpoint."""
    environment = {
        **SOON,
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.http_url,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
    }
    with relevo_serve(*flags, environment=environment) as server:
        traced(server)
    assert len(named(collector, GET)) == 2
    assert "rpc.server.call.duration" in _last(collector)


def warnings(server: RelevoProcess) -> list[dict[str, Any]]:
    """What libraries have logged."""
    return server.events("library.message")


def test_a_collector_of_traces_that_hangs(flags: tuple[str, ...], collector: Collector) -> None:
    """The last metrics arrive, even if traces go to a collector that takes them and never answers.

    The interval is longer than the run, so the last export is the only one.
    """
    with socket.create_server(("127.0.0.1", 0)) as silent:
        environment = {
            "OTEL_METRIC_EXPORT_INTERVAL": "600000",
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"{collector.http_url}/v1/metrics",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"http://127.0.0.1:{silent.getsockname()[1]}",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        }
        with relevo_serve(*flags, environment=environment) as server:
            traced(server)
            server.process.terminate()
            assert server.wait(30) == 0
    assert "rpc.server.call.duration" in _last(collector)


def test_a_collector_that_is_gone(flags: tuple[str, ...]) -> None:
    """Without its collector, a server works and ends as usual; its log names the collector."""
    environment = {**SOON, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    with relevo_serve(*flags, "--grace", "0.5", environment=environment) as server:
        traced(server)
        until(lambda: warnings(server), what="a warning")
        server.process.terminate()
        assert server.wait(30) == 0
    assert server.events("server.stopped")
    for warning in warnings(server):
        assert warning["logger"].startswith("opentelemetry.exporter.otlp.")
        assert "127.0.0.1:1" in warning["message"]
        assert SECRET not in warning["message"]


@pytest.mark.parametrize(
    "environment, error",
    [
        (
            {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"},
            "OTEL_EXPORTER_OTLP_PROTOCOL: must be grpc or http/protobuf",
        ),
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER: must be otlp or none"),
    ],
)
def test_unsupported_values(environment: dict[str, str], error: str) -> None:
    """An unsupported value ends the server with code 2 and an error that names its variable."""
    url = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    ended = relevo_ends(environment={**url, **environment})
    assert (ended.returncode, ended.stderr) == (2, f"relevo serve: {error}\n")

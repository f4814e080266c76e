"""Where audit records go beside the log: a file, and a collector."""

import json
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest
from relevo.v1 import store_pb2, store_pb2_grpc
from relevo_server.audit import Event, Record
from relevo_server.audit.background import Background
from relevo_server.audit.file import AuditFile
from support.clients.calls import TIMEOUT, context, key
from support.servers.process import RelevoProcess, relevo_ends, relevo_serve
from support.telemetry.collector import Collector, attributes_of
from support.telemetry.scraped import Scraped
from support.waiting import until

SECRET = "s3cret-value"  # noqa: S105

ALL = ("--audit", "all")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of a file for records."""
    return tmp_path / "audit.jsonl"


def put(server: RelevoProcess, id: str = "c1") -> None:  # noqa: A002
    """Put a marked value."""
    with grpc.insecure_channel(server.address) as channel:
        stub = store_pb2_grpc.ContextStoreStub(channel)
        stub.Put(
            store_pb2.PutRequest(key=key(id), context=context(user_id=SECRET)), timeout=TIMEOUT
        )


def lines_of(path: Path) -> list[dict[str, Any]]:
    """The records of a file so far."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_the_file_has_what_the_log_has(path: Path) -> None:
    """Each record is a line of the file, which only its owner may read; a restart appends."""
    logged: list[Any] = []
    for _ in range(2):
        with relevo_serve(*ALL, "--audit-file", str(path)) as server:
            put(server)
            put(server, "c2")
        logged += server.events("audit.write")
    assert [each["key"] for each in logged] == ["conversation:acme:c1", "conversation:acme:c2"] * 2
    for line, event in zip(lines_of(path), logged, strict=True):
        assert line.pop("timestamp")
        assert event.pop("timestamp")
        assert line == event
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert SECRET not in path.read_text("utf-8")


def test_a_file_that_is_moved(path: Path) -> None:
    """After a rotation the next record begins a new file, and none is lost; so after a removal."""
    with relevo_serve(*ALL, "--audit-file", str(path)) as server:
        put(server, "c1")
        until(lambda: len(lines_of(path)) == 1)
        moved = path.rename(path.with_suffix(".1"))
        put(server, "c2")
        until(lambda: path.exists() and len(lines_of(path)) == 1)
        path.unlink()
        put(server, "c3")
        until(path.exists)
    keys = [each["key"].rpartition(":")[2] for each in (*lines_of(moved), *lines_of(path))]
    assert keys == ["c1", "c3"]


def test_a_file_that_cannot_be_opened(path: Path) -> None:
    """A server does not start without its file, and says which setting is wrong."""
    ended = relevo_ends(*ALL, "--audit-file", str(path / "none"))
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].startswith("relevo serve: audit_file: ")


def test_a_disk_that_is_full() -> None:
    """If the disk is full, calls go on; lost records are counted, and the log says so once."""
    flags = (*ALL, "--audit-file", "/dev/full", "--metrics-listen", "127.0.0.1:0")
    with relevo_serve(*flags) as server:
        for i in range(3):
            put(server, f"c{i}")
        name = "relevo_server_audit_dropped_total"
        until(lambda: Scraped.of(server).value(name, relevo_audit_sink="file") == 3)
        scraped = Scraped.of(server)
        name = "relevo_server_audit_records_total"
        assert scraped.value(name, relevo_audit_event="write") == 3
    (lost,) = server.events("audit.lost")
    assert (lost["sink"], "No space left" in lost["cause"]) == ("file", True)
    assert len(server.events("audit.write")) == 3


def test_a_queue_that_is_full() -> None:
    """A record for which there is no room is dropped and counted, and nobody waits."""
    written: list[Record] = []
    read, write = os.pipe()

    def write_slowly(records: Sequence[Record]) -> None:
        os.read(read, 1)
        written.extend(records)

    sink = Background("file", write_slowly, size=4)
    sink.start()
    sent = [Record(Event.WRITE, float(i)) for i in range(100)]
    for each in sent:
        sink.add(each)
    assert sink.dropped >= 90
    os.close(write)
    sink.close(10)
    assert not sink.is_running
    assert len(written) + sink.dropped == 100
    assert written == [each for each in sent if each in written]
    os.close(read)


def test_a_file_is_closed_once(path: Path) -> None:
    """A file that was never opened, or was closed already, can be closed."""
    file = AuditFile(path)
    file.close()
    file.open()
    file.close()
    file.close()
    assert path.exists()


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A collector."""
    with Collector() as collector:
        yield collector


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_otlp(collector: Collector, protocol: str) -> None:
    """Each record is a log record of OTLP: its event, its level, and its fields as attributes."""
    url = collector.grpc_url if protocol == "grpc" else collector.http_url
    environment = {"OTEL_EXPORTER_OTLP_PROTOCOL": protocol}
    flags = ("--otlp-endpoint", url, *ALL, "--audit-otlp", "true")
    with relevo_serve(*flags, environment=environment) as server:
        put(server)
    (record,) = collector.log_records
    (event,) = server.events("audit.write")
    assert (record.event_name, record.severity_text) == ("audit.write", "INFO")
    fields = {name: value for name, value in event.items() if name not in ("event", "level")}
    assert fields.pop("timestamp")
    assert attributes_of(record) == {f"relevo.audit.{n}": value for n, value in fields.items()}
    assert record.time_unix_nano > 0
    assert SECRET not in collector.text


def test_logs_are_sent_only_if_asked_for(collector: Collector) -> None:
    """An endpoint alone sends no records: a collector may take metrics and traces only."""
    with relevo_serve("--otlp-endpoint", collector.grpc_url) as server:
        put(server)
    assert collector.log_records == []


def test_a_collector_that_is_gone() -> None:
    """Without its collector a server works and ends as usual; lost records are in its log."""
    environment = {"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://127.0.0.1:1"}
    with relevo_serve(*ALL, "--audit-otlp", "true", environment=environment) as server:
        put(server)
        server.process.terminate()
        assert server.wait(30) == 0
    assert server.events("audit.write")


def test_an_endpoint_is_needed() -> None:
    """`audit_otlp` without an endpoint is a wrong setting."""
    ended = relevo_ends(*ALL, "--audit-otlp", "true")
    assert (ended.returncode, ended.stderr) == (
        2,
        "relevo serve: audit_otlp: needs otlp_endpoint, and no OTEL_LOGS_EXPORTER=none\n",
    )

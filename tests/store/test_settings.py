"""Settings of `relevo serve`: their sources, and the errors about wrong ones."""

import json
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from relevo.v1 import store_pb2, store_pb2_grpc
from relevo_cli import main
from support.clients.calls import context, key
from support.network.ports import ReservedPort
from support.servers.process import relevo_ends, relevo_serve


def ttl_of(address: str, scope: str) -> float:
    """The time to live of a new entry in this scope on a server."""
    with grpc.insecure_channel(address) as channel:
        stub = store_pb2_grpc.ContextStoreStub(channel)
        request = store_pb2.PutRequest(key=key(scope=scope), context=context())
        ttl = stub.Put(request, timeout=10).entry.ttl
        return ttl.seconds + ttl.nanos / 1e9


@pytest.fixture
def ports() -> Iterator[list[int]]:
    """Three different ports."""
    with ReservedPort() as one, ReservedPort() as two, ReservedPort() as three:
        yield [one.number, two.number, three.number]


def test_flags_go_before_the_environment_and_that_before_the_file(
    tmp_path: Path, ports: list[int]
) -> None:
    """Each setting is taken from the first of flags, environment, file and defaults that has it."""
    file = tmp_path / "relevo.toml"
    file.write_text(
        f'listen = "127.0.0.1:{ports[0]}"\n'
        "grace = 1.5\n"
        "[ttl]\n"
        "default = 77\n"
        "maximum = 1000\n"
        "scopes = { tool = 0.5, agent_config = 9 }\n"
    )
    environment = {
        "RELEVO_CONFIG": str(file),
        "RELEVO_LISTEN": f"127.0.0.1:{ports[1]}",
        "RELEVO_GRACE": "2.5",
        "RELEVO_TTL__MAXIMUM": "500",
    }
    with relevo_serve("--listen", f"127.0.0.1:{ports[2]}", environment=environment) as server:
        assert server.address == f"127.0.0.1:{ports[2]}"
        assert ttl_of(server.address, "any") == 77
        assert ttl_of(server.address, "tool") == 0.5
        assert ttl_of(server.address, "agent_config") == 9
        assert ttl_of(server.address, "collection_config") == 500
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        assert server.events("server.stopping")[0]["grace"] == 2.5


DIGEST = json.dumps([{"name": "x", "token_sha256": "s3cret", "tenants": ["acme"]}])


@pytest.mark.parametrize(
    "arguments, environment, name",
    [
        pytest.param(["--partitions", "0"], {}, "partitions", id="too small"),
        pytest.param(["--partitions", "many"], {}, "partitions", id="not a number"),
        pytest.param(["--partitions", "16385"], {}, "partitions", id="too large"),
        pytest.param(["--grace", "nan"], {}, "grace", id="NaN"),
        pytest.param(["--grace", "inf"], {}, "grace", id="infinite"),
        pytest.param(["--store-timeout", "0"], {}, "store_timeout", id="no time"),
        pytest.param(["--store-prefix", "a{b}"], {}, "store_prefix", id="prefix with braces"),
        pytest.param(["--store", "mysql://s3cret@h"], {}, "store", id="unknown store"),
        pytest.param(["--store", "redis://:s3cret@h:port"], {}, "store", id="malformed store"),
        pytest.param(["--metrics-listen", "unix:/m"], {}, "metrics_listen: must", id="not TCP"),
        pytest.param(["--metrics-listen", "9464"], {}, "metrics_listen: must", id="only a port"),
        pytest.param(["--log-level", "loud"], {}, "log_level", id="unknown level"),
        pytest.param(["--tls-key", "k.pem"], {}, "tls_certificate", id="half of TLS"),
        pytest.param(["--tls-client-ca", "ca.pem"], {}, "tls_client_ca", id="a CA without TLS"),
        pytest.param([], {"RELEVO_MAX_CONTEXT_BYTES": "x"}, "max_context_bytes", id="variable"),
        pytest.param([], {"RELEVO_TTL__DEFAULT": "-1"}, "ttl.default", id="nested variable"),
        pytest.param(["--ttl.default", "90000"], {}, "ttl", id="default over maximum"),
        pytest.param(["--ttl.scopes", '{"": 5}'], {}, "ttl.scopes", id="nameless scope"),
        pytest.param(["--ttl.scopes", '{"a": 1e9}'], {}, "ttl: ", id="scope over maximum"),
        pytest.param([], {"RELEVO_PRINCIPALS": "s3cret"}, "principals", id="not JSON"),
        pytest.param([], {"RELEVO_PRINCIPALS": DIGEST}, "principals.0.token_sha256", id="digest"),
        pytest.param(
            [], {"RELEVO_QUOTAS__DEFAULT__CALLS": "-1"}, "quotas.default.calls: ", id="quota"
        ),
        pytest.param(
            ["--quotas.default.entries", "1.5"], {}, "quotas.default.entries: must", id="half"
        ),
        pytest.param(
            ["--quotas.tenants", '[{"calls": 5}]'], {}, "quotas.tenants.0.pattern: ", id="whose"
        ),
        pytest.param(["--no-such-setting", "1"], {}, "no-such-setting", id="unknown flag"),
    ],
)
def test_a_wrong_setting_is_named(
    arguments: list[str],
    environment: dict[str, str],
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A wrong setting ends the server with exit code 2, and is named without its value."""
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    # A server that started in spite of it would end at once: its port is taken.
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code: object
        try:
            code = main(["serve", "--listen", f"127.0.0.1:{port}", *arguments])
        except SystemExit as end:  # how argparse ends
            code = end.code
    told = capsys.readouterr().err
    assert name in told
    assert "s3cret" not in told
    assert code == 2


@pytest.mark.parametrize("address", ["nowhere", "127.0.0.1", "127.0.0.1:99999", "127.0.0.1:x"])
def test_an_address_that_cannot_be_is_named(address: str) -> None:
    """The server listens at the given address, or names it as unusable; never at another one."""
    ended = relevo_ends("--listen", address)
    assert "listen" in ended.stderr
    assert ended.returncode == 2


@pytest.mark.parametrize(
    "content, name",
    [
        pytest.param("partitions = 0", "partitions", id="wrong value"),
        pytest.param("nope = 1", "nope", id="unknown name"),
        pytest.param("[ttl]\nnope = 1", "ttl.nope", id="unknown nested name"),
        pytest.param("partitions = ", "relevo.toml", id="not TOML"),
        pytest.param(None, "relevo.toml", id="no file"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, content: str | None, name: str) -> None:
    """A wrong setting in a file is named, and so is an unreadable file."""
    file = tmp_path / "relevo.toml"
    if content is not None:
        file.write_text(content)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = relevo_ends("--listen", f"127.0.0.1:{port}", "--config", str(file))
    assert name in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.returncode in (1, 2)

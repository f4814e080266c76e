"""grpcurl, as operators use it on a store: the real program, a real server."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.servers.process import relevo_serve


def find_grpcurl() -> str | None:
    """The program on the PATH, or in the folder of `go install`."""
    go = os.environ.get("GOPATH") or str(Path.home() / "go")
    return shutil.which("grpcurl") or shutil.which("grpcurl", path=f"{go}/bin")


GRPCURL = find_grpcurl()

pytestmark = pytest.mark.skipif(
    GRPCURL is None,
    reason="there is no grpcurl on the PATH or in ~/go/bin; test_reflection.py does the same calls",
)

STORE = "relevo.v1.ContextStore"
KEY = {"scope": "agent_config", "tenant_id": "acme", "id": "support"}
KEY_BACK = {"scope": "agent_config", "tenantId": "acme", "id": "support"}
CONTEXT = {
    "agent_id": "support",
    "llm_config": {"model": "m-1", "max_tokens": 1024, "top-p": 0.5, "stop": ["a", None, True]},
}


@dataclass(frozen=True)
class Answer:
    """The output of grpcurl, and its exit code: 0, or 64 plus the number of the status."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The printed message."""
        assert self.code == 0, self.err
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, Any]:
        """The printed status, with `details` by the last part of their type."""
        error = json.loads(self.err)
        error["details"] = {
            detail.pop("@type").rpartition(".")[2]: detail for detail in error["details"]
        }
        assert self.code == 64 + error["code"]
        return dict(error)


class Grpcurl:
    """grpcurl for a server without TLS."""

    def __init__(self, address: str) -> None:
        self._address = address

    def __call__(self, *words: str, data: Any = None) -> Answer:
        """Run it with `words` after the address, and `data` as the request."""
        assert GRPCURL is not None
        request = [] if data is None else ["-d", json.dumps(data)]
        done = subprocess.run(
            [GRPCURL, "-plaintext", "-format-error", *request, self._address, *words],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    def store(self, method: str, **request: Any) -> Answer:
        """Call a method of the store."""
        return self(f"{STORE}/{method}", data=request)


@pytest.fixture(scope="module")
def grpcurl() -> Iterator[Grpcurl]:
    """A server with reflection."""
    with relevo_serve() as server:
        yield Grpcurl(server.address)


def test_list(grpcurl: Grpcurl) -> None:
    """Reflection lists the services and methods."""
    services = grpcurl("list").out.split()
    assert {STORE, "grpc.health.v1.Health"} <= set(services)
    calls = grpcurl("list", STORE).out.split()
    names = ("BatchGet", "Get", "Invalidate", "Lease", "Put", "Release", "Snapshot", "Watch")
    assert calls == [f"{STORE}.{name}" for name in names]


def test_describe(grpcurl: Grpcurl) -> None:
    """Reflection describes the methods and messages."""
    service = grpcurl("describe", STORE).out
    assert "rpc Get ( .relevo.v1.GetRequest ) returns ( .relevo.v1.GetResponse );" in service
    assert "rpc Watch ( stream .relevo.v1.WatchRequest )" in service
    context = grpcurl("describe", "relevo.v1.ExecutionContext").out
    assert ".google.protobuf.Struct llm_config = 8;" in context


def test_put_and_get(grpcurl: Grpcurl) -> None:
    """Requests and responses are JSON; integral numbers stay integral."""
    put = grpcurl.store("Put", key=KEY, context=CONTEXT, ttl="60s").json
    assert put["entry"]["key"] == KEY_BACK
    assert put["revision"] == put["entry"]["version"]
    assert "context" not in put["entry"]
    got = grpcurl.store("Get", key=KEY).json
    assert got["entry"]["key"] == KEY_BACK
    assert got["entry"]["version"] == put["revision"]
    assert got["entry"]["context"]["agentId"] == "support"
    assert got["entry"]["context"]["llmConfig"] == CONTEXT["llm_config"]
    assert 0 < float(got["entry"]["ttl"].removesuffix("s")) <= 60


def test_masked_put(grpcurl: Grpcurl) -> None:
    """A mask sets, replaces and clears only what it names, at any depth."""
    grpcurl.store("Put", key=KEY, context=CONTEXT)
    paths = ["user_id", "llm_config.model", "llm_config.max_tokens", "llm_config.`top-p`"]
    change = {"user_id": "u", "llm_config": {"model": "m-2", "top-p": 1}}
    grpcurl.store("Put", key=KEY, context=change, update_mask={"paths": paths})
    context = grpcurl.store("Get", key=KEY).json["entry"]["context"]
    assert context["userId"] == "u"
    assert context["agentId"] == "support"
    assert context["llmConfig"] == {"model": "m-2", "top-p": 1, "stop": ["a", None, True]}


def test_invalidate(grpcurl: Grpcurl) -> None:
    """Keys and whole tenants can be ended."""
    version = int(grpcurl.store("Put", key=KEY, context=CONTEXT).json["revision"])
    ended = grpcurl.store("Invalidate", keys={"keys": [KEY]}).json
    assert (ended["invalidatedCount"], int(ended["revision"]) > version) == (1, True)
    assert grpcurl.store("Get", key=KEY).error["code"] == 5
    grpcurl.store("Put", key=KEY, context=CONTEXT)
    grpcurl.store("Invalidate", tenant={"tenant_id": "acme"})
    assert grpcurl.store("Get", key=KEY).error["code"] == 5


def test_health(grpcurl: Grpcurl) -> None:
    """The standard health check works for the server and for the service."""
    for service in ("", STORE):
        answer = grpcurl("grpc.health.v1.Health/Check", data={"service": service})
        assert answer.json == {"status": "SERVING"}


def test_an_error_with_its_details(grpcurl: Grpcurl) -> None:
    """An error has its reason, its metadata and the paths of the malformed fields."""
    missing = grpcurl.store("Get", key={**KEY, "id": "a:b"}).error
    assert missing["code"] == 5
    assert missing["details"]["ErrorInfo"] == {
        "domain": "relevo",
        "reason": "NO_ENTRY",
        "metadata": {"key": "agent_config:acme:a%3Ab"},
    }
    malformed = grpcurl.store("Put", key={**KEY, "id": ""}, context={"tenant_id": "globex"}).error
    assert malformed["code"] == 3
    assert malformed["details"]["ErrorInfo"]["reason"] == "INVALID_FIELD"
    violations = malformed["details"]["BadRequest"]["field_violations"]
    assert [each["field"] for each in violations] == ["key.id", "context.tenant_id"]

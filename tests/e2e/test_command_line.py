"""`relevo get`, `put` and `invalidate` as real processes: JSON in, JSON out, exit codes."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from relevo.v1.store_pb2 import InvalidateRequest
from support.clients.access import principal
from support.servers.command import broken_pipe, interrupted, relevo
from support.servers.outcome import Outcome
from support.servers.process import relevo_serve
from support.servers.relay import Relay

KEY = "agent_config:acme:support"
CONTEXT: dict[str, Any] = {
    "agent_id": "support",
    "llm_config": {"model": "größe", "max_tokens": 1024, "top_p": 0.5, "stop": [None, True]},
}
USER = '{"user_id": "u"}'
TOKEN = "sekret-token"  # noqa: S105 - a test's own


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A server."""
    with relevo_serve(fresh=True) as server:
        yield server.address


@pytest.fixture
def to_server(address: str) -> dict[str, str]:
    """The environment that gives the command the server's address."""
    return {"RELEVO_SERVER": address}


async def test_each_invalidate_has_a_request_id(address: str) -> None:
    """`invalidate` sends a request_id, so that a repetition on the way has no further effect."""
    ends = [("invalidate", KEY), ("invalidate", "--tenant", "acme")]
    async with Relay(address) as relay:
        for arguments in ends * 2:
            environment = {"RELEVO_SERVER": relay.address}
            outcome = await asyncio.to_thread(relevo, *arguments, environment=environment)
            assert outcome.code == 0
    ids = {InvalidateRequest.FromString(call.request).request_id for call in relay.calls}
    assert "" not in ids
    assert len(ids) == 4


def put(to_server: Mapping[str, str], *options: str, key: str = KEY, **context: Any) -> Any:
    """Put a context from standard input."""
    return relevo(
        "put", key, *options, stdin=json.dumps(context or CONTEXT), environment=to_server
    ).json


def get(to_server: Mapping[str, str], key: str = KEY) -> Any:
    """Get an entry."""
    return relevo("get", key, environment=to_server).json["entry"]


def test_json_in_and_out(to_server: dict[str, str], tmp_path: Path) -> None:
    """A context is read as JSON from a file or standard input, and printed as JSON."""
    file = tmp_path / "context.json"
    file.write_text(json.dumps(CONTEXT, ensure_ascii=False), "utf-8")
    by_file = relevo("put", KEY, str(file), "--ttl", "60", environment=to_server)
    assert (by_file.code, by_file.err) == (0, "")
    assert by_file.json["revision"] == by_file.json["entry"]["version"]

    entry = get(to_server)
    assert entry["version"] == by_file.json["revision"]
    assert entry["key"] == {"scope": "agent_config", "tenant_id": "acme", "id": "support"}
    assert 50 < float(entry["ttl"].removesuffix("s")) <= 60
    context = entry["context"]
    assert context["agent_id"] == "support"
    assert context["llm_config"] == CONTEXT["llm_config"]
    assert isinstance(context["llm_config"]["max_tokens"], int)

    by_stdin = relevo("put", KEY, stdin=json.dumps(context), environment=to_server)
    assert int(by_stdin.json["revision"]) > int(entry["version"])
    again = get(to_server)["context"]
    assert {**again, "update_time": ""} == {**context, "update_time": ""}


def test_masks(to_server: dict[str, str]) -> None:
    """`--mask` names the written fields; it can be repeated, and name keys of sections."""
    put(to_server)
    options = ("--mask", "llm_config.model", "--mask", "llm_config.`top-p`", "--mask", "agent_id")
    put(to_server, *options, llm_config={"model": "m-2", "top-p": 1, "max_tokens": 1})
    context = get(to_server)["context"]
    assert "agent_id" not in context
    assert context["llm_config"] == {**CONTEXT["llm_config"], "model": "m-2", "top-p": 1}


def test_empty_contexts(to_server: dict[str, str]) -> None:
    """`{}` is a valid context; under a mask, it clears the named fields."""
    put(to_server)
    cleared = relevo("put", KEY, "--mask", "llm_config.stop", stdin="{}", environment=to_server)
    assert (cleared.code, cleared.err) == (0, "")
    assert "stop" not in get(to_server)["context"]["llm_config"]
    emptied = relevo("put", KEY, stdin="{}", environment=to_server)
    assert (emptied.code, emptied.err) == (0, "")
    assert get(to_server)["context"].keys() == {"create_time", "update_time"}


def test_conditions(to_server: dict[str, str]) -> None:
    """If `--if-absent` or `--if-version` does not hold, the command exits with 1 and says why."""
    key = "agent_config:acme:conditions"
    version = put(to_server, "--if-absent", key=key)["revision"]
    exists = relevo("put", key, "--if-absent", stdin=USER, environment=to_server)
    assert (exists.code, "ENTRY_EXISTS" in exists.message) == (1, True)
    newer = put(to_server, "--if-version", version, key=key)["revision"]
    mismatch = relevo("put", key, "--if-version", version, stdin=USER, environment=to_server)
    assert (mismatch.code, "VERSION_MISMATCH" in mismatch.message) == (1, True)
    assert get(to_server, key)["version"] == newer


def test_layers(to_server: dict[str, str]) -> None:
    """`--layers` prints the included entries too."""
    put(to_server)
    head = "conversation:acme:c-1"
    put(
        to_server,
        key=head,
        includes=[{"scope": "agent_config", "tenantId": "acme", "id": "support"}],
    )
    answer = relevo("get", head, "--layers", environment=to_server).json
    (layer,) = answer["layers"]
    assert layer["context"]["llm_config"] == CONTEXT["llm_config"]


def test_invalidate(to_server: dict[str, str]) -> None:
    """`invalidate` ends keys, a tenant or one of its scopes; then `get` exits with 3."""
    keys = [f"agent_config:globex:{name}" for name in ("a", "b")]
    for key in keys:
        put(to_server, key=key)
    ended = relevo("invalidate", *keys, environment=to_server).json
    assert ended["invalidated_count"] == 2
    gone = relevo("get", keys[0], environment=to_server)
    assert (gone.code, gone.out) == (3, "")
    assert "NO_ENTRY" in gone.message
    assert keys[0] in gone.message

    put(to_server, key=keys[0])
    options = ("--tenant", "globex", "--scope")
    assert "revision" in relevo("invalidate", *options, "conversation", environment=to_server).json
    assert get(to_server, keys[0])["context"]["agent_id"] == "support"
    assert "revision" in relevo("invalidate", *options, "agent_config", environment=to_server).json
    assert relevo("get", keys[0], environment=to_server).code == 3


class Wrong(NamedTuple):
    """A wrong command: its words, its input, its exit code and its message."""

    words: tuple[str, ...]
    code: int
    says: str
    stdin: str | bytes = USER


PUT = ("put", KEY)
DEEP = '{"llm_config": {"a": ' + "[" * 100_000 + "]" * 100_000 + "}}"

WRONG: dict[str, Wrong] = {
    "no command": Wrong((), 2, "COMMAND"),
    "unknown command": Wrong(("nonsense",), 2, "nonsense"),
    "key of two parts": Wrong(("get", "a:b"), 2, "KEY: a key has the form scope:tenant_id:id"),
    "key with half an escape": Wrong(("get", "a:b:%3"), 2, "KEY: id"),
    "server without a name": Wrong(("get", KEY, "--server", ""), 2, "--target"),
    "server that is away": Wrong(("get", KEY, "--server", "127.0.0.1:1"), 1, "UNAVAILABLE"),
    "ca that is not there": Wrong(("get", KEY, "--tls", "--ca", "/none/ca.pem"), 2, "/none/ca.pem"),
    "file that is not there": Wrong((*PUT, "/none/c.json"), 2, "/none/c.json"),
    "ttl of NaN": Wrong((*PUT, "--ttl", "nan"), 2, "--ttl"),
    "ttl of 1e300": Wrong((*PUT, "--ttl", "1e300"), 2, "ttl"),
    "ttl of 1e306": Wrong((*PUT, "--ttl", "1e306"), 2, "ttl"),
    "ttl of nothing": Wrong((*PUT, "--ttl", "0"), 2, "ttl"),
    "version of nothing": Wrong((*PUT, "--if-version", "0"), 2, "--if-version"),
    "version beyond 64 bits": Wrong((*PUT, "--if-version", str(1 << 64)), 2, "version"),
    "mask of an unknown field": Wrong((*PUT, "--mask", "usr_id"), 2, "usr_id"),
    "no input": Wrong(PUT, 2, "context", ""),
    "input that is no JSON": Wrong(PUT, 2, "context", "{bad"),
    "input that is no UTF-8": Wrong(PUT, 2, "context", b'{"user_id": "\xff"}'),
    "input that is no object": Wrong(PUT, 2, "context", "[]"),
    "input that is too deep": Wrong(PUT, 2, "context", DEEP),
    "unknown field": Wrong(PUT, 2, "usr_id", '{"usr_id": "u"}'),
    "field of another type": Wrong(PUT, 2, "user_id", '{"user_id": 5}'),
    "NaN": Wrong(PUT, 2, "context.llm_config.a[1].b", '{"llm_config": {"a": [0, {"b": NaN}]}}'),
    "2^53 + 1": Wrong(PUT, 2, "context.llm_config.a", '{"llm_config": {"a": 9007199254740993}}'),
    "lone surrogate": Wrong(PUT, 2, "llm_config", '{"llm_config": {"a": "\\ud800"}}'),
    "another tenant": Wrong(PUT, 2, "context.tenant_id", '{"tenant_id": "globex"}'),
    "every tenant": Wrong(("invalidate", "--tenant", "*"), 2, "--tenant: * does not mean all"),
    "every scope": Wrong(("invalidate", "--tenant", "a", "--scope", "*"), 2, "leave --scope out"),
    "every id": Wrong(("invalidate", "agent_config:acme:*"), 2, "KEY: * does not mean all"),
    "mistyped option": Wrong(("get", KEY, "--tiemout", "1"), 2, "did you mean --timeout?"),
    "mistyped option of serve": Wrong(("serve", "--sotre=s3cret"), 2, "--sotre; did you mean --st"),
    "nothing to invalidate": Wrong(("invalidate",), 2, "--tenant"),
    "keys and a tenant": Wrong(("invalidate", KEY, "--tenant", "acme"), 2, "--tenant"),
    "keys of two tenants": Wrong(("invalidate", KEY, "a:globex:b"), 2, "tenant_id"),
}


@pytest.fixture(scope="module")
def outcomes(address: str) -> dict[str, Outcome]:
    """The result of each wrong command. Each is a process; a few run at a time."""

    def run(wrong: Wrong) -> Outcome:
        return relevo(*wrong.words, stdin=wrong.stdin, environment={"RELEVO_SERVER": address})

    with ThreadPoolExecutor(3) as pool:
        return dict(zip(WRONG, pool.map(run, WRONG.values()), strict=True))


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said_in_one_line(name: str, outcomes: dict[str, Outcome]) -> None:
    """A mistake is one readable line that names the field, and an exit code, never a traceback."""
    outcome, wrong = outcomes[name], WRONG[name]
    assert wrong.says in outcome.message
    assert len(outcome.message) < 300
    assert (outcome.code, outcome.out) == (wrong.code, "")


def test_tokens() -> None:
    """RELEVO_TOKEN is sent, and never printed."""
    ops = principal(TOKEN, "acme", name="ops").model_dump()
    with relevo_serve("--principals", json.dumps([ops]), "--log-level", "debug") as server:
        known = {"RELEVO_SERVER": server.address, "RELEVO_TOKEN": TOKEN}
        unknown = {**known, "RELEVO_TOKEN": f"{TOKEN}?"}
        malformed = {**known, "RELEVO_TOKEN": f"{TOKEN}\n"}
        assert put(known)["entry"]["key"]["tenant_id"] == "acme"
        denied = relevo("get", "agent_config:globex:a", environment=known)
        refused = [relevo("get", KEY, environment=each) for each in (unknown, malformed)]
    assert (denied.code, "TENANT_DENIED" in denied.message) == (1, True)
    assert (refused[0].code, "UNAUTHENTICATED" in refused[0].message) == (1, True)
    assert (refused[1].code, "RELEVO_TOKEN: " in refused[1].message) == (2, True)
    for outcome in (denied, *refused):
        assert TOKEN not in outcome.out + outcome.err
    assert TOKEN not in "".join(server.lines)
    assert ops["token_sha256"] not in "".join(server.lines)


def test_interrupted(to_server: dict[str, str]) -> None:
    """Ctrl-C while the command waits for its input ends it without a traceback."""
    outcome = interrupted("put", KEY, "--server", to_server["RELEVO_SERVER"])
    assert outcome.code != 0
    assert "Traceback" not in outcome.err


def test_a_reader_that_goes_away(to_server: dict[str, str]) -> None:
    """`relevo get KEY | head` ends quietly when the reader has closed the pipe."""
    put(to_server)
    outcome = broken_pipe("get", KEY, "--server", to_server["RELEVO_SERVER"])
    assert "Error" not in outcome.err


def test_version() -> None:
    """`--version` prints the distribution's version, and exits with 0."""
    outcome = relevo("--version")
    assert (outcome.code, outcome.out) == (0, f"relevo {version('relevo')}\n")


def test_a_star_may_be_a_name(to_server: dict[str, str]) -> None:
    """%2A means the character: an entry with this name can be ended alone."""
    for key in ("agent_config:acme:%2A", KEY):
        put(to_server, key=key)
    assert relevo("invalidate", "agent_config:acme:%2A", environment=to_server).code == 0
    assert relevo("get", "agent_config:acme:%2A", environment=to_server).code == 3
    assert relevo("get", KEY, environment=to_server).code == 0


@pytest.mark.parametrize("command", ["", "serve", "get", "put", "invalidate", "demo"])
def test_help(command: str) -> None:
    """`--help` describes every command and option, and exits with 0."""
    outcome = relevo(*command.split(), "--help")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith(f"usage: relevo {command}".rstrip())
    expected = {
        "": ["serve", "get", "put", "invalidate", "demo"],
        "get": ["KEY", "--layers", "--server", "--timeout", "RELEVO_TOKEN"],
        "put": ["KEY", "FILE", "--ttl", "--mask", "--if-version", "--if-absent"],
        "invalidate": ["KEY", "--tenant", "--scope"],
    }
    for word in expected.get(command, []):
        assert word in outcome.out

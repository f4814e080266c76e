"""The options that operating commands share: the server, the token and the form of the output."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from relevo.v1.store_pb2 import GetRequest
from relevo_cli import connection
from relevo_cli.main import parser
from relevo_client import CHANNEL_OPTIONS, ContextKey, ExecutionContext
from relevo_client.testing import LocalStore
from support.clients.access import principal
from support.servers.outcome import Relevo

KEY = "agent_config:acme:support"
TOKEN = "sekret-token"  # noqa: S105 - a test's own


@pytest.fixture
def entry(store: LocalStore) -> ContextKey:
    """An entry of the store."""
    key = ContextKey.parse(KEY)
    config: dict[str, Any] = {"model": "größe", "top-p": [0.5, {}], "odd": "\x1b[2J\u202e"}
    store.client.put(key, ExecutionContext(user_id="u-1", llm_config=config))
    return key


@pytest.mark.usefixtures("entry")
def test_where_the_server_is(
    store: LocalStore, offline: Relevo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--target` and its older name `--server` go before RELEVO_TARGET, that before the older."""
    monkeypatch.setenv("RELEVO_SERVER", "127.0.0.1:1")
    assert offline("get", KEY, "--timeout", "1").code == 1
    monkeypatch.setenv("RELEVO_TARGET", store.address)
    assert offline("get", KEY).code == 0
    monkeypatch.setenv("RELEVO_TARGET", "127.0.0.1:1")
    for option in ("--target", "--server"):
        assert offline("get", KEY, option, f"dns:///{store.address}").code == 0


@pytest.fixture
def guarded() -> Iterator[LocalStore]:
    """A store that wants a token."""
    with LocalStore(token=TOKEN, principals=[principal(TOKEN, "*")]) as store:
        store.client.put(ContextKey.parse(KEY), ExecutionContext(user_id="u-1"))
        yield store


def test_where_the_token_is(
    guarded: LocalStore, offline: Relevo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token is read from `--token-file`, RELEVO_TOKEN_FILE or RELEVO_TOKEN, and never shown."""
    file, wrong = tmp_path / "token", tmp_path / "wrong"
    file.write_text(f"{TOKEN}\n")
    wrong.write_text(f"{TOKEN}?")
    get = ("get", KEY, "--target", guarded.address)
    outcomes = [offline(*get), offline(*get, "--token-file", str(wrong))]
    assert [each.code for each in outcomes] == [1, 1]
    assert "UNAUTHENTICATED" in outcomes[1].message
    outcomes.append(offline(*get, "--token-file", str(file)))
    monkeypatch.setenv("RELEVO_TOKEN", TOKEN)
    outcomes.append(offline(*get))
    monkeypatch.setenv("RELEVO_TOKEN", "other")
    monkeypatch.setenv("RELEVO_TOKEN_FILE", str(file))
    outcomes.append(offline(*get))
    assert [each.code for each in outcomes[2:]] == [0, 0, 0]
    missing = offline(*get, "--token-file", "/none/token")
    assert (missing.code, "/none/token" in missing.message) == (2, True)
    file.write_bytes(b"\xff" + TOKEN.encode())
    outcomes.append(offline(*get))
    assert (outcomes[-1].code, "--token-file" in outcomes[-1].message) == (2, True)
    assert TOKEN not in "".join(each.out + each.err for each in outcomes)


@pytest.mark.parametrize("command", ["get", "watch", "status", "probe"])
def test_a_token_stays_on_this_host(
    offline: Relevo, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """Without TLS, a token for another host is wrong usage, unless the user says so."""
    monkeypatch.setenv("RELEVO_TOKEN", TOKEN)
    key = [KEY] if command in ("get", "watch") else []
    outcome = offline(command, *key, "--target", "ipv4:192.0.2.1:7390")
    assert outcome.code == 2
    assert "unencrypted to ipv4:192.0.2.1:7390" in outcome.message
    assert TOKEN not in outcome.err
    if command == "get":
        target = ("--target", "ipv4:192.0.2.1:7390", "--timeout", "0.2")
        assert offline(command, *key, *target, "--insecure-token").code == 1
        assert offline(command, *key, *target, "--tls").code == 1


def test_a_token_file_that_changes(guarded: LocalStore, tmp_path: Path) -> None:
    """A command that runs for long reads its token's file again."""
    file = tmp_path / "token"
    file.write_text("wrong")
    arguments = ["get", KEY, "--target", guarded.address, "--token-file", str(file)]
    options = parser().parse_args(arguments)
    request = GetRequest(key=ContextKey.parse(KEY).to_message())
    with connection.connected(options) as server:
        with pytest.raises(grpc.RpcError):
            server.call(server.store.Get, request)
        file.write_text(TOKEN)
        assert server.call(server.store.Get, request).entry.context.user_id == "u-1"


def test_an_empty_token_file(guarded: LocalStore, offline: Relevo, tmp_path: Path) -> None:
    """A token file without a token is wrong usage."""
    file = tmp_path / "token"
    file.write_text("\n")
    outcome = offline("get", KEY, "--target", guarded.address, "--token-file", str(file))
    assert (outcome.code, f"{file} has no token" in outcome.message) == (2, True)


def test_files_from_the_environment(
    offline: Relevo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RELEVO_CA, RELEVO_CERT and RELEVO_KEY are the defaults of `--ca`, `--cert` and `--key`."""
    for name in ("ca", "cert", "key"):
        monkeypatch.setenv(f"RELEVO_{name.upper()}", str(tmp_path / name))
        if name != "ca":
            (tmp_path / "ca").write_text("")
        outcome = offline("get", KEY)
        expected = "go together" if name == "cert" else str(tmp_path / name)
        assert (outcome.code, expected in outcome.message) == (2, True)


def test_an_empty_variable(
    store: LocalStore, offline: Relevo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable that is empty counts as not set."""
    for name in ("CA", "CERT", "KEY", "TARGET", "TOKEN", "TOKEN_FILE"):
        monkeypatch.setenv(f"RELEVO_{name}", "")
    monkeypatch.setenv("RELEVO_SERVER", store.address)
    assert offline("ls", "acme").code == 0


def test_a_certificate_without_its_key(relevo: Relevo) -> None:
    """`--cert` without `--key` is wrong usage."""
    assert relevo("get", KEY, "--cert", "c.pem").message.endswith("--cert and --key go together")


def test_calls_are_repeated_as_those_of_clients() -> None:
    """The command's channels have the options of the client library, for operators' calls too."""
    config, *others = connection.CHANNEL_OPTIONS
    clients, *others_of_clients = CHANNEL_OPTIONS
    assert others == others_of_clients
    expected = json.loads(str(clients[1]))
    expected["methodConfig"][0]["name"].append({"service": "relevo.admin.v1.Admin"})
    assert (config[0], json.loads(str(config[1]))) == (clients[0], expected)


@pytest.mark.usefixtures("entry")
def test_tables_for_people(relevo: Relevo) -> None:
    """`--output table` prints every value under its path, and nothing that moves the cursor."""
    outcome = relevo("get", KEY, "--output", "table")
    assert outcome.code == 0
    assert "key        agent_config:acme:support" in outcome.lines
    values = dict(line.split(maxsplit=1) for line in outcome.lines[6:])
    assert outcome.lines[5].split() == ["PATH", "VALUE"]
    assert values["llm_config.model"] == '"größe"'
    assert values["llm_config.`top-p`[0]"] == "0.5"
    assert values["llm_config.`top-p`[1]"] == "{}"
    assert values["llm_config.odd"] == r'"\u001b[2J\u202e"'
    assert "\x1b" not in outcome.out


@pytest.mark.usefixtures("entry")
def test_tables_of_writes(relevo: Relevo) -> None:
    """`put` and `invalidate` print tables too, if they are asked to."""
    put = relevo("put", KEY, "--output", "table", stdin='{"user_id": "u-2"}')
    assert put.lines[0].split() == ["key", KEY]
    ended = relevo("invalidate", KEY, "--output", "table")
    assert ended.lines[1].split() == ["invalidated_count", "1"]


@pytest.mark.usefixtures("entry")
def test_json_stays_the_default_of_older_commands(relevo: Relevo) -> None:
    """What `get`, `put` and `invalidate` print without `--output` is one JSON document."""
    document = json.loads(relevo("get", KEY).out)
    assert document == json.loads(relevo("get", KEY, "--output", "json").out) | {
        "entry": document["entry"]
    }
    assert document["entry"]["context"]["user_id"] == "u-1"

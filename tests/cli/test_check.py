"""`relevo check`: what is wrong is found, with advice, and ends the command with 1."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from relevo_server.diagnosis import of_database
from relevo_server.storage.inspection import DatabaseStatus
from relevo_server.storage.redis import rights
from support.clients.tokens import TokenIssuer
from support.redis.process import RedisProcess
from support.servers.outcome import Relevo

PASSWORD = "sekret"  # noqa: S105 - a test's own
SCRIPTS = Path(rights.__file__).parent / "scripts"


def findings(offline: Relevo, *flags: str, code: int = 0) -> dict[str, list[Any]]:
    """The findings of `relevo check` with these flags, by what was checked."""
    outcome = offline("check", "--output", "json", *flags)
    assert (outcome.code, outcome.err) == (code, "")
    found: dict[str, list[Any]] = {}
    for each in outcome.json["findings"]:
        found.setdefault(each["check"], []).append(each)
        assert bool(each["advice"]) == (each["level"] != "ok")
    return found


def test_settings_that_are_right(offline: Relevo) -> None:
    """With defaults, nothing is wrong."""
    found = findings(offline)
    assert {each["level"] for many in found.values() for each in many} == {"ok"}
    assert found["store"][0]["text"].startswith("memory answers")


def test_settings_that_are_wrong(offline: Relevo, tmp_path: Path) -> None:
    """A wrong file is named with its settings, without their values."""
    file = tmp_path / "relevo.toml"
    file.write_text(f'grace = -1\nsotre = "redis://:{PASSWORD}@h"\n')
    found = findings(offline, "--config", str(file), code=1)
    texts = [each["text"] for each in found["settings"]]
    assert any("did you mean store?" in text for text in texts)
    assert any(text.startswith("grace:") for text in texts)
    assert PASSWORD not in "".join(texts)
    assert "store" not in found


def test_more_workers_than_cores(offline: Relevo) -> None:
    """Each worker needs a core; `auto` has as many as there are."""
    nowhere = ("--store", "redis://127.0.0.1:1")
    found = findings(offline, *nowhere, "--workers", "1000", code=1)
    assert found["workers"][0]["level"] == "warning"
    found = findings(offline, *nowhere, "--workers", "auto", code=1)
    assert found["workers"][0]["level"] == "ok"


def test_what_is_open_to_everyone(offline: Relevo) -> None:
    """A public address without principals is wrong, or a warning if it is wanted.

    Files that are missing are wrong.
    """
    public = ("--listen", "0.0.0.0:7390")
    found = findings(offline, *public, code=1)
    assert {each["level"] for each in found["settings"]} == {"wrong"}
    found = findings(offline, *public, "--insecure")
    assert found["access"][0]["level"] == "warning"
    found = findings(offline, "--tls-certificate", "/none/c", "--tls-key", "/none/k", code=1)
    assert found["tls"][0]["level"] == "wrong"


def test_the_keys_of_issuers(offline: Relevo, tmp_path: Path) -> None:
    """The keys of each issuer are read, and named; those that do not count are warnings."""
    issuer = TokenIssuer(tmp_path / "jwks.json")
    issuer.rotate("one")
    issuer.rotate("two")
    issuer.rotate("ed", "EdDSA")
    values = json.loads(issuer.settings(algorithms=["ES256"]).model_dump_json())
    flag = f"--issuers={json.dumps([values])}"
    sound, warning = findings(offline, flag)["jwks"]
    assert (sound["level"], sound["text"]) == ("ok", "sso has 2 keys: one, two")
    assert warning["level"] == "warning"
    assert warning["text"] == (
        "a key of sso does not count: 'ed' fits no algorithm that is allowed"
    )
    issuer.publish("ed")
    (none,) = findings(offline, flag, code=1)["jwks"]
    assert none["level"] == "wrong"
    assert "the keys of sso cannot be used: has no key for ES256; 'ed' fits" in none["text"]
    issuer.file.unlink()
    (missing,) = findings(offline, flag, code=1)["jwks"]
    assert (missing["level"], "No such file" in missing["text"]) == ("wrong", True)


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisProcess]:
    """A Redis with a user who lacks two commands, and one who may do nothing but them."""
    with RedisProcess() as process:
        with process.client() as client:
            rules = ("on", f">{PASSWORD}", "~*", "+@all", "-xadd", "-info", "-config", "-time")
            client("ACL", "SETUSER", "limited", *rules)
        yield process


@pytest.mark.processes
def test_a_redis_that_is_right(offline: Relevo, redis: RedisProcess) -> None:
    """A plain Redis has nothing wrong, and the check leaves no key but the layout."""
    found = findings(offline, "--store", redis.url)
    assert {each["level"] for many in found.values() for each in many} == {"ok"}
    assert found["version"][0]["text"].split()[0] in {"redis", "valkey"}
    with redis.client() as client:
        assert client.names("relevo") == ["relevo:layout"]


@pytest.mark.processes
def test_commands_that_are_refused(offline: Relevo, redis: RedisProcess) -> None:
    """Each refused command is named, and what cannot be had is a warning; no password is shown."""
    url = redis.url.replace("redis://", f"redis://limited:{PASSWORD}@")
    outcome = offline("check", "--store", url)
    assert outcome.code == 1
    assert any(re.match(r"rights +wrong +XADD is refused: ", line) for line in outcome.lines)
    assert "  → ACL SETUSER … +xadd" in outcome.lines
    assert {line.split()[0] for line in outcome.lines if " warning " in line} == {
        "version",
        "eviction",
        "clock",
    }
    assert PASSWORD not in outcome.out + outcome.err


@pytest.mark.processes
def test_a_store_with_other_partitions(offline: Relevo, redis: RedisProcess) -> None:
    """A store that was set up with another number of partitions is wrong."""
    findings(offline, "--store", redis.url)
    found = findings(offline, "--store", redis.url, "--partitions", "7", code=1)
    assert "64 partitions" in found["store"][0]["text"]


def test_a_redis_that_is_away(offline: Relevo) -> None:
    """A Redis that cannot be reached is wrong, with the cause."""
    found = findings(offline, "--store", f"redis://:{PASSWORD}@127.0.0.1:1", code=1)
    (store,) = found["store"]
    assert (store["level"], PASSWORD in store["text"]) == ("wrong", False)


@pytest.mark.parametrize(
    "status, wrong",
    [
        (
            DatabaseStatus("redis 6.2.0", eviction_policy="volatile-lru", clock_offset=0.9),
            set[str](),
        ),
        (DatabaseStatus("redis 6.0.9", eviction_policy="noeviction", clock_offset=0), {"version"}),
        (DatabaseStatus("valkey 7.1.9", eviction_policy="noeviction", clock_offset=0), {"version"}),
        (
            DatabaseStatus("redis 8.2.0", eviction_policy="allkeys-lru", clock_offset=0),
            {"eviction"},
        ),
        (DatabaseStatus("redis 8.2.0", eviction_policy="noeviction", clock_offset=-2), {"clock"}),
    ],
)
def test_states_of_databases(status: DatabaseStatus, wrong: set[str]) -> None:
    """Old versions, policies that take logs, and clocks that are off are wrong."""
    assert {each.check for each in of_database(status) if each.level == "wrong"} == wrong


def test_a_key_ring_that_is_not_there(offline: Relevo) -> None:
    """A key ring that cannot be read is wrong, with its path."""
    found = findings(offline, "--encryption.key-ring", "/no/ring.toml", code=1)
    (store,) = found["store"]
    assert (store["level"], "/no/ring.toml" in store["text"]) == ("wrong", True)
    assert "encryption" in store["advice"]


def test_an_extra_that_is_missing(offline: Relevo, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the extra is not installed, `serve` and `check` say how to install it."""
    monkeypatch.setitem(sys.modules, "cryptography", None)
    for name in list(sys.modules):
        if name.startswith(("cryptography.", "relevo_server.storage.encrypted")):
            monkeypatch.delitem(sys.modules, name)
    for command in ("serve", "check"):
        outcome = offline(command, "--encryption.key-ring", "/no/ring.toml")
        assert outcome.code == 2
        assert "install it with: pip install 'relevo[encryption]'" in outcome.err


def test_every_command_of_the_scripts_is_tried() -> None:
    """What scripts and the server run in normal work is among the commands that are tried."""
    sources = "".join(path.read_text("utf-8") for path in SCRIPTS.glob("*.lua"))
    used = set(re.findall(r"(?:redis\.p?call|find_events)\('([A-Z]+)'", sources))
    tried = {words[0] for words in json.loads(rights.trials("unused"))}
    assert len(used) > 10
    assert used == tried

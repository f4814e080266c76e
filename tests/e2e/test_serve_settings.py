"""The settings of `relevo serve`: their sources, errors and secrets."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from relevo_server.settings import Settings
from support.redis.process import RedisProcess
from support.servers.command import relevo
from support.servers.process import RelevoProcess, relevo_ends, relevo_serve
from support.waiting import until

KEY = "agent_config:acme:support"
USER = '{"user_id": "u"}'
SECRET = "sekret-7f3a"  # noqa: S105 - a test's own


def test_flags_environment_and_file(tmp_path: Path) -> None:
    """Flags override the environment, the environment the file, and the file the defaults."""
    file = tmp_path / "relevo.toml"
    file.write_text("max_context_bytes = 100\npartitions = 5\n[ttl]\ndefault = 11\nmaximum = 99\n")
    environment = {
        "RELEVO_CONFIG": str(file),
        "RELEVO_PARTITIONS": "1",
        "RELEVO_TTL__DEFAULT": "22",
        "RELEVO_TTL__SCOPES": '{"agent_config": 44}',
    }
    with relevo_serve("--ttl.default", "33", environment=environment) as server:
        here = {"RELEVO_SERVER": server.address}
        other = relevo("put", "other:acme:x", stdin=USER, environment=here).json["entry"]
        scoped = relevo("put", KEY, stdin=USER, environment=here).json["entry"]
        large = relevo("put", KEY, stdin=json.dumps({"user_id": "u" * 101}), environment=here)
        long = relevo("put", KEY, "--ttl", "100", stdin=USER, environment=here)
    assert other["ttl"] == "33s"  # from the flag
    assert scoped["ttl"] == "44s"  # from the environment
    assert other.get("partition", 0) == 0  # from the environment: there is only one
    assert "CONTEXT_TOO_LARGE" in large.message  # from the file
    assert "99 s" in long.message  # from the file


def test_every_setting_is_in_the_help() -> None:
    """`serve --help` has a flag and a text for each setting."""
    text = re.sub(r"\s+", " ", relevo("serve", "--help", environment={"COLUMNS": "200"}).out)
    for name, field in Settings.model_fields.items():
        assert f"--{name.replace('_', '-')}" in text
        assert re.sub(r"\s+", " ", field.description or "?").strip() in text


def test_defaults_in_the_help() -> None:
    """`serve --help` shows each default; a default is not a secret."""
    text = re.sub(r"\s+", " ", relevo("serve", "--help", environment={"COLUMNS": "200"}).out)
    assert "(default: memory://)" in text
    assert "*" not in text


WRONG: dict[str, tuple[str, dict[str, str], tuple[str, ...], str, str, str]] = {
    "a name in the file": ("store_timeot = 1", {}, (), "store_timeot", "store_timeout", "FILE"),
    "a name in a table": ("[ttl]\ndefualt = 1", {}, (), "ttl.defualt", "ttl.default", "FILE"),
    "a name of another table": ("maximum = 1", {}, (), "maximum", "ttl.maximum", "FILE"),
    "a name in a list": (
        '[[principals]]\nname = "a"\ntokensha256 = "b"\ntenants = []',
        {},
        (),
        "principals.0.tokensha256",
        "principals.0.token_sha256",
        "FILE",
    ),
    "a name in the environment": (
        "grace = 1",
        {"RELEVO_TTL__DEFUALT": "1"},
        (),
        "ttl.defualt",
        "ttl.default",
        "RELEVO_TTL__DEFUALT",
    ),
    "a name in a flag": (
        "",
        {},
        ("--ttl", '{"defualt": 1}'),
        "ttl.defualt",
        "ttl.default",
        "--ttl",
    ),
}


@pytest.mark.parametrize(
    "file, environment, flags, wrong, meant, source", WRONG.values(), ids=WRONG.keys()
)
def test_an_unknown_setting(
    tmp_path: Path,
    file: str,
    environment: dict[str, str],
    flags: tuple[str, ...],
    wrong: str,
    meant: str,
    source: str,
) -> None:
    """An unknown setting is named with the nearest known one, and with its source."""
    path = tmp_path / "relevo.toml"
    path.write_text(file)
    ended = relevo_ends("--config", str(path), *flags, environment=environment)
    assert ended.returncode == 2
    where = source.replace("FILE", str(path))
    text = f"relevo serve: {wrong}: is not a setting; did you mean {meant}? ({where})"
    assert text in ended.stderr.splitlines()


def test_a_wrong_value_has_a_source(tmp_path: Path) -> None:
    """The error about a wrong value names its source: the file, a variable or a flag."""
    path = tmp_path / "relevo.toml"
    path.write_text("grace = -1")
    cases: tuple[tuple[tuple[str, ...], dict[str, str], str], ...] = (
        ((), {}, f"({path})"),
        ((), {"RELEVO_GRACE": "-1"}, "(RELEVO_GRACE)"),
        (("--grace=-1",), {"RELEVO_GRACE": "-1"}, "(--grace)"),
        ((), {"RELEVO_PRINCIPALS": "[{"}, "principals: is not JSON (RELEVO_PRINCIPALS)"),
    )
    for flags, environment, source in cases:
        ended = relevo_ends("--config", str(path), *flags, environment=environment)
        assert ended.returncode == 2
        assert ended.stderr.splitlines()[-1].endswith(source)


def test_broken_toml_has_a_place(tmp_path: Path) -> None:
    """The error about invalid TOML has its line and column, and no quotation."""
    path = tmp_path / "relevo.toml"
    path.write_text(f'listen = "127.0.0.1:0"\nstore = "redis://:{SECRET}@host\n')
    ended = relevo_ends("--config", str(path))
    column = len(f'store = "redis://:{SECRET}@host') + 1
    expected = f"relevo serve: {path}: is not TOML at line 2, column {column}"
    assert ended.stderr.splitlines() == [expected]
    path.write_bytes(b'store = "\xff"')
    assert relevo_ends("--config", str(path)).stderr.splitlines() == [
        f"relevo serve: {path}: is not UTF-8"
    ]


def test_a_variable_that_is_no_setting() -> None:
    """An unknown variable with Relevo's prefix causes a warning; Kubernetes's variables do not."""
    environment = {
        "RELEVO_STORE_TIMEOT": SECRET,
        "RELEVO_PORT": "tcp://10.0.0.1:7390",
        "RELEVO_SERVICE_HOST": "10.0.0.1",
        "RELEVO_PORT_7390_TCP_PROTO": "tcp",
    }
    with relevo_serve(environment=environment) as server:
        (event,) = server.events("settings.unknown")
    assert event["variable"] == "RELEVO_STORE_TIMEOT"
    assert event["nearest"] == "RELEVO_STORE_TIMEOUT"
    assert SECRET not in "".join(server.lines)


def test_the_commands_variables_are_no_settings() -> None:
    """A server ignores RELEVO_TARGET, RELEVO_TOKEN and others, which are for other commands."""
    others = dict.fromkeys(("SERVER", "TARGET", "TOKEN", "TOKEN_FILE"), "x:1")
    environment = {f"RELEVO_{name}": value for name, value in others.items()}
    with relevo_serve(environment=environment) as server:
        assert server.address


@pytest.mark.parametrize(
    "flags, environment, file, name",
    [
        (("--partitions", "0"), {}, "", "partitions"),
        (("--partitions", "many"), {}, "", "partitions"),
        (("--store", f"ftp://{SECRET}"), {}, "", "store"),
        (("--principals", f'[{{"name": "a", "token_sha256": "{SECRET}"}}]'), {}, "", "principals"),
        (("--principals", f"[{SECRET}"), {}, "", "principals"),
        (("--tls-key", "/none/key.pem"), {}, "", "tls_certificate"),
        (("--nonsense", "1"), {}, "", "--nonsense"),
        ((), {"RELEVO_GRACE": "-1"}, "", "grace"),
        ((), {"RELEVO_PRINCIPALS": f"[{SECRET}"}, "", "principals"),
        ((), {}, "nonsense = 1", "nonsense"),
        ((), {}, f'store = "redis://:{SECRET}@host', "relevo.toml"),
        ((), {}, "[ttl]\nmaximum = 1", "ttl"),
        ((), {}, None, "relevo.toml"),
    ],
    ids=lambda value: str(value).replace(SECRET, "SECRET")[:40],
)
def test_wrong_settings_are_named(
    tmp_path: Path,
    flags: tuple[str, ...],
    environment: dict[str, str],
    file: str | None,
    name: str,
) -> None:
    """A wrong setting ends the server with 2, and a line that names it."""
    path = tmp_path / "relevo.toml"
    if file is not None:
        path.write_text(file)
    config = ("--config", str(path)) if file != "" else ()
    ended = relevo_ends(*config, "--listen", "127.0.0.1:0", *flags, environment=environment)
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
    assert name in ended.stderr.splitlines()[-1]
    assert SECRET not in ended.stderr


@pytest.mark.parametrize(
    "url",
    [
        f"redis://:{SECRET}@127.0.0.1:port",
        f"redis://:{SECRET}/more@127.0.0.1:1",
        f"redis://:{SECRET}#more@127.0.0.1:1",
        f"redis://:{SECRET}?more@127.0.0.1:1",
        f"redis://:{SECRET}[more@127.0.0.1:1",
        f"redis://:{SECRET}@127.0.0.1:1?nonsense=1",
    ],
)
def test_a_malformed_store_url_tells_no_password(url: str) -> None:
    """An unescaped character in a password makes a malformed URL, whose error quotes nothing."""
    ended = relevo_ends("--listen", "127.0.0.1:0", "--store", url)
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
    assert "store" in ended.stderr.splitlines()[-1]
    assert SECRET not in ended.stderr


@pytest.mark.parametrize(
    "url",
    [
        f"redis://user:{SECRET}@127.0.0.1:1/0",
        f"redis://127.0.0.1:1?password={SECRET}",
        f"redis+cluster://:{SECRET}@127.0.0.1:1",
    ],
)
def test_a_store_that_is_away_tells_no_password(url: str) -> None:
    """A server starts without its store, and logs its address without the password."""
    with relevo_serve("--store", url, "--log-level", "debug") as server:
        ended = relevo("get", KEY, environment={"RELEVO_SERVER": server.address})
        assert "STORE_UNAVAILABLE" in ended.message
    assert "127.0.0.1:1" in server.events("server.started")[0]["store"]
    assert SECRET not in "".join(server.lines) + ended.err


@pytest.fixture
def redis() -> Iterator[RedisProcess]:
    """The test's own Redis, which it stops."""
    with RedisProcess() as process:
        yield process


def test_contexts_are_never_logged(redis: RedisProcess) -> None:
    """At the most verbose level and in failures, no value of a context is logged."""

    def put(server: RelevoProcess, *options: str, key: str = KEY, **context: object) -> str:
        outcome = relevo(
            *("put", key, *options),
            stdin=json.dumps({"metadata": {SECRET: [SECRET]}, "user_id": SECRET, **context}),
            environment={"RELEVO_SERVER": server.address},
        )
        return outcome.message if outcome.code else "done"

    flags = ("--log-level", "debug", "--store", redis.url, "--health-interval", "0.1")
    with relevo_serve(*flags) as server:
        assert put(server) == "done"
        assert "CONTEXT_TOO_LARGE" in put(server, rag_config={"x": SECRET * 30_000})
        assert "tenant_id" in put(server, tenant_id=SECRET)
        assert "update_mask" in put(server, "--mask", f"user_id.{SECRET}")
        assert "VERSION_MISMATCH" in put(server, "--if-version", "5")
        redis.stop()
        assert "STORE_UNAVAILABLE" in put(server)
        until(lambda: server.events("store.lost"), what="a warning")
    assert server.events("store.unavailable")
    assert server.events("server.stopped")
    assert SECRET not in "".join(server.lines)

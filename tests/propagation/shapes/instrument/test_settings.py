"""The settings of `instrument`: arguments, then environment variables, then defaults."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from grpc import StatusCode
from relevo_client import (
    AccessDeniedError,
    ContextKey,
    InvalidFieldError,
    NotFoundError,
    instrument,
)
from relevo_client._instrument.settings import VARIABLES, Settings
from relevo_client.testing import LocalStore
from relevo_server.cli.problems import unknown_variables
from relevo_server.settings import Settings as ServerSettings
from support.clients.access import principal
from support.clients.callers import calling
from support.instrumenting import Instrument
from support.servers.hosting import hosted
from support.servers.scenes import Scene
from support.servers.shapes import function
from support.waiting import until_async

SECRET = "s3cret-value"  # noqa: S105 - of this test
SECOND = "second-token"


def violations(**arguments: Any) -> Mapping[str, str]:
    """The violations of settings that are refused: the problem by the field."""
    with pytest.raises(InvalidFieldError) as refused:
        instrument(**arguments)
    assert SECRET not in str(refused.value)
    return dict(refused.value.violations)


async def test_arguments_go_before_variables(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An argument counts, else its variable, else the default; an empty variable is none."""
    monkeypatch.setenv("RELEVO_TARGET", "nowhere:1")
    monkeypatch.setenv("RELEVO_KINDS", " grpc.client , starlette ")
    monkeypatch.setenv("RELEVO_TRUST_CALLERS", "")
    mine = instrument(target=store.address)
    try:
        assert mine.kinds == {"grpc.client", "starlette"}
        key = ContextKey("agent_config", "acme", "none")
        assert await mine.aio_client().batch_get([key])  # of the store, and not of nowhere
    finally:
        await mine.aundo()


@pytest.mark.parametrize(
    "variable, value, problem",
    [
        ("RELEVO_KINDS", "grpc.client,kafka", "kinds (RELEVO_KINDS)"),
        ("RELEVO_KINDS", ",", "kinds (RELEVO_KINDS)"),
        ("RELEVO_TLS", SECRET, "tls (RELEVO_TLS)"),
        ("RELEVO_CA", "/none/ca.pem", "ca (RELEVO_CA)"),
        ("RELEVO_CERT", "/none", "cert (RELEVO_CERT)"),
        ("RELEVO_TOKEN", f"{SECRET}\n{SECRET}", "token (RELEVO_TOKEN)"),
        ("RELEVO_TOKEN_FILE", "/none", "token_file (RELEVO_TOKEN_FILE)"),
        ("RELEVO_INSECURE_TOKEN", SECRET, "insecure_token (RELEVO_INSECURE_TOKEN)"),
        ("RELEVO_TIMEOUT", "0", "timeout (RELEVO_TIMEOUT)"),
        ("RELEVO_TRUST_CALLERS", "perhaps", "trust_callers (RELEVO_TRUST_CALLERS)"),
        ("RELEVO_TRUST_CALLERS", "signed", "trust_callers (RELEVO_TRUST_CALLERS)"),
        ("RELEVO_TRUST_HTTP_CALLERS", "signed", "trust_http_callers (RELEVO_TRUST_HTTP_CALLERS)"),
        ("RELEVO_TRUSTED_KEYS", "/none", "reference_keys (RELEVO_TRUSTED_KEYS)"),
        ("RELEVO_AUTHORIZE", "not a place", "authorize (RELEVO_AUTHORIZE)"),
        ("RELEVO_FALLBACKS", "unavailable=cross_fingers", "policy (RELEVO_FALLBACKS)"),
        ("RELEVO_FALLBACKS", "late=proceed", "policy (RELEVO_FALLBACKS)"),
        ("RELEVO_FALLBACKS", "not_found=last_known", "policy (RELEVO_FALLBACKS)"),
        ("RELEVO_TRUST_IDENTITY", SECRET, "trust_identity (RELEVO_TRUST_IDENTITY)"),
        ("RELEVO_BEGIN", "beginnings:begin", "trust_identity (RELEVO_TRUST_IDENTITY)"),
        ("RELEVO_TURNS", SECRET, "turns (RELEVO_TURNS)"),
    ],
)
def test_a_wrong_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, problem: str
) -> None:
    """The error names the setting and its variable, and no value; nothing is instrumented."""
    monkeypatch.setenv("RELEVO_TARGET", "127.0.0.1:1")
    monkeypatch.setenv(variable, value)
    assert violations().keys() == {problem}


def test_all_that_is_wrong_is_named() -> None:
    """One error has all wrong settings, by argument too."""
    wrong: dict[str, Any] = {"target": 1, "timeout": -1, "kinds": {"grpc"}, "trust_callers": 3}
    assert {name.partition(" ")[0] for name in violations(**wrong)} == wrong.keys()


def test_a_target_is_needed() -> None:
    """Without a target only channels can be instrumented: they ask nobody."""
    problem = violations()["target (RELEVO_TARGET)"]
    assert problem == "must be given: faststream, grpc.server, starlette need the store's address"
    mine = instrument(kinds={"grpc.client"})
    try:
        with pytest.raises(InvalidFieldError, match=r"target \(RELEVO_TARGET\)"):
            mine.client()
    finally:
        mine.undo()


@pytest.mark.parametrize("setting", ["token", "token_file"])
def test_no_token_leaves_the_host_unencrypted(tmp_path: Path, setting: str) -> None:
    """A token for another host needs TLS, as for the clients; the error names the variables."""
    file = tmp_path / "token"
    file.write_text(SECRET)
    given: dict[str, Any] = {setting: SECRET if setting == "token" else file}
    (problem,) = violations(target="store:7390", **given).items()
    assert problem[0] == f"{setting} (RELEVO_{setting.upper()})"
    assert "RELEVO_TLS" in problem[1]
    for allowed in ("insecure_token", "tls"):
        given[allowed] = True
        instrument(target="store:7390", **given).undo()
        del given[allowed]


async def test_a_token_that_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The token's file goes before RELEVO_TOKEN, and a token that was replaced there is used."""
    file = tmp_path / "token"
    file.write_text("first")
    monkeypatch.setenv("RELEVO_TOKEN", "unknown")
    monkeypatch.setenv("RELEVO_TOKEN_FILE", str(file))
    key = ContextKey("agent_config", "acme", "none")
    with LocalStore(token=SECOND, principals=[principal(SECOND, "*")]) as guarded:
        mine = instrument(target=guarded.address, timeout=10)
        client = mine.aio_client()
        try:
            with pytest.raises(AccessDeniedError):
                await client.get(key)
            file.write_text(SECOND)

            async def is_known() -> bool:
                try:
                    await client.get(key)
                except AccessDeniedError:
                    return False
                except NotFoundError:
                    return True
                return False

            await until_async(is_known)
        finally:
            await mine.aundo()


def test_every_variable_is_of_a_setting() -> None:
    """Each variable belongs to a setting, and each setting that a text can say has a variable."""
    by_argument_only = {"policies", "loaders", "cache"}
    assert VARIABLES.keys() == Settings.model_fields.keys() - by_argument_only
    assert len(set(VARIABLES.values())) == len(VARIABLES)


def test_no_variable_is_of_the_server() -> None:
    """A store and a service may share an environment: no variable is a setting of both.

    Nor does the server take one of them for a misspelled setting of its own.
    """
    theirs = {f"RELEVO_{name.upper()}" for name in ServerSettings.model_fields}
    assert theirs.isdisjoint(VARIABLES.values())
    assert list(unknown_variables(dict.fromkeys(VARIABLES.values(), "1"))) == []


async def test_fallbacks(instrumented: Instrument, monkeypatch: pytest.MonkeyPatch) -> None:
    """RELEVO_FALLBACKS has the fallback for each case that it names."""
    monkeypatch.setenv("RELEVO_FALLBACKS", "no_reference=reject, unavailable=last_known")
    mine = instrumented(trust_callers=True)
    scene = Scene()
    methods = {"Do": ("unary_unary", function(scene))}
    async with (
        hosted("blocking", methods) as host,
        calling("asyncio", host.address, interceptors=()) as caller,
    ):
        outcome = await caller.outcome("unary_unary", caller.begin("unary_unary"))
    assert outcome.code is StatusCode.FAILED_PRECONDITION
    assert scene.seen == []
    assert mine.kinds

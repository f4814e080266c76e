"""`relevo watch`: values as they change, through losses of the store too."""

from contextlib import AbstractContextManager, ExitStack
from typing import Any

import pytest
from cli.running import Running, running
from relevo_client import ContextKey, ExecutionContext
from relevo_client.testing import LocalStore
from support.servers.outcome import Relevo

pytestmark = pytest.mark.processes

KEY, LAYER = ContextKey.parse("conversation:acme:c-1"), ContextKey.parse("agent_config:acme:a")


def watching(*arguments: str, timeout: int = 60) -> AbstractContextManager[Running]:
    """Run `relevo watch`. A store that does not answer within `timeout` seconds is lost."""
    return running("watch", "--timeout", str(timeout), *arguments)


def next_value(watch: Running) -> Any:
    """The next context. The store may be lost before it, or not have the entry yet."""
    while (event := watch.event())["event"] != "value":
        assert event["event"] in {"lost", "absent"}
    return event["context"]


def config(**values: Any) -> ExecutionContext:
    """A context with these settings of a model."""
    return ExecutionContext(llm_config=values)


def test_values_as_they_change(store: LocalStore) -> None:
    """Each change of a composition is one event with what is added, removed and replaced."""
    store.client.put(LAYER, config(model="m-1", top_p=0.5))
    store.client.put(KEY, ExecutionContext(user_id="u", includes=(LAYER,)))
    with watching(str(KEY), "--target", store.address, "--output", "json") as watch:
        first = watch.event()
        assert (first["event"], first["key"]) == ("value", str(KEY))
        assert first["context"]["llm_config"] == {"model": "m-1", "top_p": 0.5}
        version = store.client.put(LAYER, config(model="m-2", stop=["x"])).revision
        second = watch.event()
        assert second["changes"] == [
            {"sign": "~", "path": "llm_config.model", "old": "m-1", "new": "m-2"},
            {"sign": "+", "path": "llm_config.stop[0]", "new": "x"},
            {"sign": "-", "path": "llm_config.top_p", "old": 0.5},
        ]
        assert int(second["revision"]) >= version
        store.client.invalidate(LAYER)
        assert watch.event()["event"] == "incomplete"
        store.client.put(LAYER, config(model="m-3", stop=["x"]))
        (change,) = watch.event()["changes"]
        assert (change["old"], change["new"]) == ("m-2", "m-3")
        store.client.invalidate(KEY)
        gone = watch.event()
        assert (gone["event"], {each["sign"] for each in gone["changes"]}) == ("absent", {"-"})


def test_a_server_that_goes_away(port: int) -> None:
    """The command says that the store is lost, waits, and shows what changed meanwhile."""
    address = f"127.0.0.1:{port}"
    with ExitStack() as stack:
        with LocalStore(listen=address) as store:
            store.client.put(KEY, config(model="m-1"))
            words = (str(KEY), "--target", address, "--output", "json")
            watch = stack.enter_context(watching(*words, timeout=1))
            assert next_value(watch)["llm_config"] == {"model": "m-1"}
        assert watch.event()["event"] == "lost"
        with LocalStore(listen=address) as store:
            store.client.put(KEY, config(model="m-2"))
            assert next_value(watch)["llm_config"] == {"model": "m-2"}


def test_for_people(store: LocalStore) -> None:
    """The table has a head for each event, then the values, and later what has changed."""
    store.client.put(KEY, config(model="\x1b[2J"))
    with watching(str(KEY), "conversation:acme:none", "--target", store.address) as watch:
        head = watch.line()
        assert head.split()[1:3] == [str(KEY), "version"]
        assert watch.line().split() == ["llm_config.model", r'"\u001b[2J"']
        assert watch.line().endswith("conversation:acme:none  absent: there is no entry")
        store.client.put(KEY, config(model="m"))
        watch.line()
        assert watch.line() == r'  ~ llm_config.model  "\u001b[2J" → "m"'


def test_count(relevo: Relevo, store: LocalStore) -> None:
    """`--count` ends the command, with 0."""
    store.client.put(KEY, config(model="m"))
    outcome = relevo("watch", str(KEY), "--count", "1", "--output", "json")
    assert (outcome.code, outcome.json["event"]) == (0, "value")


def test_a_caller_that_may_not(offline: Relevo) -> None:
    """A failure that no waiting helps against ends the command with 1."""
    principal = {"name": "ops", "token_sha256": "0" * 64, "tenants": ["*"]}
    with LocalStore(principals=[principal]) as store:
        outcome = offline("watch", str(KEY), "--target", store.address)
    assert (outcome.code, "UNAUTHENTICATED" in outcome.message) == (1, True)

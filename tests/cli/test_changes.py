"""`relevo changes`: what was written, in the past and as it is written."""

import json
from contextlib import ExitStack

import pytest
from cli.running import running
from relevo_client import ContextKey, ExecutionContext
from relevo_client.testing import LocalStore
from support.network.proxy import Proxy
from support.servers.outcome import Relevo

KEY = ContextKey.parse("agent_config:acme:a")


def write(store: LocalStore) -> None:
    """A Put, an update, an Invalidate of the key and one of the tenant, and a foreign Put."""
    store.client.put(KEY, ExecutionContext(user_id="sekret"))
    store.client.update(KEY, {"llm_config": {"model": "sekret"}})
    store.client.invalidate(KEY)
    store.client.invalidate_tenant("acme", scope="agent_config")
    store.client.put(ContextKey.parse("conversation:acme:c"), ExecutionContext())


def test_changes_of_a_tenant(relevo: Relevo, store: LocalStore) -> None:
    """Each write is a row with its parts and its entry, the oldest first, and without values."""
    write(store)
    outcome = relevo("changes", "acme")
    assert outcome.code == 0
    rows = [line.split()[2:] for line in outcome.lines[1:]]
    assert rows == [
        ["put", "-", str(KEY), "*"],
        ["put", "-", str(KEY), "llm_config.model"],
        ["invalidate", "-", str(KEY), "-"],
        ["invalidate", "-", "all", "of", "acme,", "scope", "agent_config", "-"],
        ["put", "-", "conversation:acme:c", "*"],
    ]
    assert "sekret" not in outcome.out
    last = [json.loads(line) for line in relevo("changes", "acme", "--output", "json").lines][-1]
    assert last["change"]["fields"] == ["*"]


def test_changes_of_a_key_or_scope(relevo: Relevo, store: LocalStore) -> None:
    """A key, a scope, a revision and a limit select changes."""
    write(store)
    assert len(relevo("changes", str(KEY)).lines) == 1 + 4
    assert len(relevo("changes", "acme", "--scope", "conversation").lines) == 1 + 1
    assert len(relevo("changes", "--tenant", "acme", "--limit", "2").lines) >= 1 + 2
    second = relevo("changes", str(KEY), "--output", "json").lines[1]
    after = json.loads(second)["change"]["revision"]
    assert len(relevo("changes", str(KEY), "--after", after).lines) >= 1 + 2


@pytest.mark.parametrize("words", [(), ("a", "--tenant", "b"), ("a:b:c", "--scope", "s"), ("a:b",)])
def test_wrong_usage(relevo: Relevo, words: tuple[str, ...]) -> None:
    """Neither or both of key and tenant, a scope of a key, and a malformed key are refused."""
    assert relevo("changes", *words).code == 2


@pytest.mark.processes
def test_followed_changes(port: int) -> None:
    """`--follow` goes on with new changes, also after the server was away."""
    address = f"127.0.0.1:{port}"
    words = ("changes", "acme", "--follow", "--output", "json", "--target", address)
    with ExitStack() as stack:
        with LocalStore(listen=address) as store:
            store.client.put(KEY, ExecutionContext())
            follow = stack.enter_context(running(*words))
            first = follow.event()["change"]
            store.client.invalidate(KEY)
            second = follow.event()["change"]
            assert int(second["revision"]) > int(first["revision"])
        assert follow.message().endswith("trying again")
        with LocalStore(listen=address) as store:
            store.client.put(KEY, ExecutionContext())
            third = follow.event()["change"]
            assert third["kind"] == "CHANGE_KIND_PUT"


@pytest.mark.processes
def test_a_limit_is_for_the_past(store: LocalStore) -> None:
    """`--limit` bounds what is printed at first: all changes while the server is away are shown."""
    store.client.put(KEY, ExecutionContext())
    with Proxy(int(store.address.rpartition(":")[2])) as proxy:
        words = ("changes", "acme", "--follow", "--limit", "1", "--output", "json")
        with running(*words, "--target", f"127.0.0.1:{proxy.port}") as follow:
            assert follow.event()["change"]["kind"] == "CHANGE_KIND_PUT"
            proxy.refuse()
            assert follow.message().endswith("trying again")
            written = [store.client.put(KEY, ExecutionContext()).revision for _ in range(3)]
            proxy.accept()
            for revision in written:
                assert int(follow.event()["change"]["revision"]) == revision

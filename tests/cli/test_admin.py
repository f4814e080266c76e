"""What operators ask a server: its status, and the keys of a tenant."""

import json

from relevo_client import ContextKey, ExecutionContext
from relevo_client.testing import LocalStore
from support.servers.outcome import Relevo


def put(store: LocalStore, *names: str) -> None:
    """Put an entry under each name."""
    for name in names:
        store.client.put(ContextKey.parse(name), ExecutionContext(user_id="u" * 2000))


def test_status_of_a_server(relevo: Relevo) -> None:
    """`status` prints the server and its store, as a table or as one JSON document."""
    outcome = relevo("status")
    assert outcome.code == 0
    rows = dict(line.split(maxsplit=1) for line in outcome.lines if line)
    assert rows["store"].startswith("memory")
    assert rows["state"].startswith("answers in ")
    document = relevo("status", "--partitions", "--output", "json").json
    assert document["store"]["available"] is True
    assert document["server"]["watchers"] == "0"
    assert len(document["partitions"]) == document["store"]["partitions"]
    table = relevo("status", "--partitions").lines
    assert len(table) > document["store"]["partitions"]


def test_keys_of_a_tenant(relevo: Relevo, store: LocalStore) -> None:
    """`ls` lists each live key of the tenant or scope with its version, time and size."""
    put(store, "conversation:acme:b", "conversation:acme:a%3A", "agent_config:acme:x", "a:other:y")
    outcome = relevo("ls", "acme")
    head, *rows = outcome.lines
    assert head.split() == ["KEY", "VERSION", "EXPIRES", "IN", "SIZE"]
    keys = [row.split()[0] for row in rows]
    assert keys == ["agent_config:acme:x", "conversation:acme:a%3A", "conversation:acme:b"]
    assert rows[0].endswith(" KiB")
    found = [
        json.loads(line)
        for line in relevo("ls", "acme", "--scope", "agent_config", "--output", "json").lines
    ]
    assert [each["key"]["id"] for each in found] == ["x"]
    assert relevo("ls", "nobody").lines == ["KEY  VERSION  EXPIRES IN  SIZE"]


def test_who_uses_a_server_most(relevo: Relevo, store: LocalStore) -> None:
    """`tenants` ranks tenants by calls, bytes or misses; `--limit` is how many."""
    put(store, "a:small:1", "a:small:2", "a:small:3")
    put(store, *(f"a:large:{i}" for i in range(2)))
    for _ in range(4):
        relevo("get", "a:small:absent")
    for order, tenants in (("calls", ["small", "large"]), ("misses", ["small"])):
        head, *rows = relevo("tenants", "--by", order).lines
        assert head.split() == ["TENANT", "CALLS", "BYTES", "MISSES"]
        assert [row.split()[0] for row in rows] == tenants
    assert rows[0].split() == ["small", "7", "5.9", "KiB", "4"]
    document = relevo("tenants", "--by", "bytes", "--limit", "1", "--output", "json").json
    assert [each["tenant_id"] for each in document["tenants"]] == ["small"]
    wrong = relevo("tenants", "--limit", "101")
    assert wrong.code == 2
    assert "must be a whole number from 1 to 100" in wrong.err


def test_what_a_tenant_uses(relevo: Relevo, store: LocalStore) -> None:
    """`usage` prints entries and bytes by scope, and what the server did for the tenant."""
    put(store, "conversation:acme:1", "conversation:acme:2", "agent_config:acme:x", "a:other:y")
    head, *rows = relevo("usage", "acme").lines
    assert head.split() == ["SCOPE", "ENTRIES", "SIZE"]
    assert [row.split()[:2] for row in rows[:2]] == [["agent_config", "1"], ["conversation", "2"]]
    activity, quotas = (i for i, row in enumerate(rows) if row.startswith(("CALLS", "QUOTA")))
    assert rows[activity + 1].split()[0] == "3"
    assert [row.split() for row in rows[quotas:]] == [
        ["QUOTA", "USED", "LIMIT"],
        ["calls", "0", "2048"],
        ["lease_waits", "0", "1024"],
        ["watch_streams", "0", "5000"],
        ["subscriptions", "0", "250000"],
    ]
    document = relevo("usage", "acme", "--output", "json").json
    assert {each["scope"]: each["entries"] for each in document["scopes"]} == {
        "agent_config": "1",
        "conversation": "2",
    }

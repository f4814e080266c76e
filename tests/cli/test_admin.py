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

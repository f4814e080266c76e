"""`relevo tenant shred` and `relevo encryption rewrap`."""

import sys
from types import SimpleNamespace

import pytest
from relevo.admin.v1 import admin_pb2
from relevo_client import ContextKey, ExecutionContext, NotFoundError
from relevo_client.testing import LocalStore
from support.servers.fake_admin import fake_admin
from support.servers.outcome import Relevo
from support.terminals import Terminal

KEY = ContextKey("conversation", "acme", "c1")


def is_alive(store: LocalStore) -> bool:
    """Whether the tenant's entry is there."""
    try:
        store.client.get(KEY)
    except NotFoundError:
        return False
    return True


def test_a_tenant_is_shredded(relevo: Relevo, store: LocalStore) -> None:
    """`tenant shred` ends all entries of the tenant, and says that they were not encrypted."""
    store.client.put(KEY, ExecutionContext(user_id="u"))
    other = ContextKey("conversation", "other", "c1")
    store.client.put(other, ExecutionContext(user_id="u"))
    outcome = relevo("tenant", "shred", "acme", "--yes")
    assert outcome.code == 0
    assert not is_alive(store)
    assert store.client.get(other).context.user_id == "u"
    rows = dict(line.split(maxsplit=1) for line in outcome.lines)
    assert (rows["key_deleted"], rows["erased_count"]) == ("False", "1")
    assert "backups of Redis may still have it" in outcome.out
    document = relevo("tenant", "shred", "acme", "--yes", "--output", "json").json
    assert document["erased_count"] == "0"


@pytest.mark.parametrize("typed, code", [("acme\n", 0), ("acm\n", 2), ("", 2)])
def test_it_asks(
    relevo: Relevo, store: LocalStore, monkeypatch: pytest.MonkeyPatch, typed: str, code: int
) -> None:
    """Without `--yes` somebody has to type the tenant's name; otherwise nothing is done."""
    store.client.put(KEY, ExecutionContext(user_id="u"))
    fake = SimpleNamespace(stdin=Terminal(typed), stderr=sys.stderr)
    monkeypatch.setattr("relevo_cli.tenant.sys", fake)
    assert relevo("tenant", "shred", "acme").code == code
    assert is_alive(store) is (code != 0)


@pytest.mark.parametrize("arguments", [("acme",), ("*", "--yes"), ()])
def test_wrong_usage(relevo: Relevo, store: LocalStore, arguments: tuple[str, ...]) -> None:
    """A script has to give `--yes`, and `*` does not mean all tenants."""
    store.client.put(KEY, ExecutionContext(user_id="u"))
    assert relevo("tenant", "shred", *arguments).code == 2
    assert is_alive(store)


def test_rewrap(relevo: Relevo, offline: Relevo, monkeypatch: pytest.MonkeyPatch) -> None:
    """`encryption rewrap` asks for each partition, and adds the answers up."""
    outcome = relevo("encryption", "rewrap")
    assert (outcome.code, "NOT_IMPLEMENTED" in outcome.err) == (1, True)
    asked: list[int] = []

    def rewrapped(request: admin_pb2.RewrapKeysRequest) -> admin_pb2.RewrapKeysResponse:
        asked.append(request.partition)
        return admin_pb2.RewrapKeysResponse(primary_key="new", key_count=2, rewrapped_count=1)

    def status(_: admin_pb2.GetStatusRequest) -> admin_pb2.GetStatusResponse:
        return admin_pb2.GetStatusResponse(store=admin_pb2.StoreStatus(partitions=3))

    with fake_admin(RewrapKeys=rewrapped, GetStatus=status) as address:
        monkeypatch.setenv("RELEVO_TARGET", address)
        document = offline("encryption", "rewrap", "--output", "json").json
    assert asked == [0, 1, 2]
    assert document == {"primary_key": "new", "key_count": 6, "rewrapped_count": 3}

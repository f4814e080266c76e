"""`current`: what a Put or a Lease with `include_layers` brings along, so that nobody need ask."""

from collections.abc import Mapping
from typing import Any

import pytest
from grpc import StatusCode
from relevo.v1.store_pb2 import GetResponse, LeaseRequest, PutRequest
from relevo_server.errors import unavailable
from relevo_server.settings import Settings
from relevo_server.storage import Storage
from relevo_server.storage.interface import Read
from support.clients.access import bearer, principal
from support.clients.calls import TIMEOUT, Stub, context, get, key, masked, put
from support.clients.leasing import lease
from support.failures import failure_of
from support.servers.serving import serving_from

AGENT = key("a1", scope="agent_config")
DOCS = key("docs", scope="collection_config")
WRITER = principal("writer", "acme", roles=("write",))
LIMITED = principal("limited", "acme", roles=("write", "read:conversation"))


def untimed(answer: GetResponse) -> GetResponse:
    """An answer without the times left, which differ from one call to the next."""
    for entry in (answer.entry, *answer.layers):
        assert entry.HasField("ttl")
        entry.ClearField("ttl")
        entry.ClearField("expire_time")
    return answer


async def read(stub: Stub) -> GetResponse:
    """The entry with its layers, by a Get."""
    return untimed(await get(stub, key(), include_layers=True))


@pytest.mark.parametrize("includes", [[], [AGENT], [DOCS, AGENT]], ids=["none", "one", "two"])
async def test_a_put_brings_what_a_get_would_return(stub: Stub, includes: list[Any]) -> None:
    """`current` is the answer of a Get with `include_layers` that follows the Put."""
    for each in (AGENT, DOCS):
        await put(stub, each, context(llm_config={"from": each.id}))
    written = context(user_id="u", llm_config={"n": 1}, includes=includes)
    answer = await put(stub, key(), written, include_layers=True)
    assert answer.current.entry.version == answer.revision
    assert untimed(answer.current) == await read(stub)
    assert not answer.entry.HasField("context")


async def test_parts_of_an_entry(stub: Stub) -> None:
    """The same for a Put with a mask: `current` has the whole entry."""
    await put(stub, AGENT)
    await put(stub, key(), context(user_id="u", includes=[AGENT]))
    changes = context(session_id="s")
    answer = await put(stub, key(), changes, update_mask=masked("session_id"), include_layers=True)
    assert (answer.current.entry.context.user_id, len(answer.current.layers)) == ("u", 1)
    assert untimed(answer.current) == await read(stub)


async def test_only_if_it_is_asked_for(stub: Stub) -> None:
    """Without `include_layers`, a Put brings no `current`, and a Lease the entry alone."""
    assert not (await put(stub, key())).HasField("current")
    assert (await lease(stub)).WhichOneof("result") == "entry"


async def test_a_repeated_put(stub: Stub) -> None:
    """A Put that is sent again changes nothing, and brings what there is by now."""
    request: Mapping[str, Any] = {"request_id": "r", "include_layers": True}
    first = await put(stub, key(), context(user_id="u"), **request)
    later = await put(stub, key(), context(user_id="later"))
    again = await put(stub, key(), context(user_id="u"), **request)
    assert again.revision == first.revision
    assert (again.current.entry.version, again.current.entry.context.user_id) == (
        later.revision,
        "later",
    )


async def test_a_write_stands_if_it_cannot_be_read(
    storage: Storage, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Put whose entry cannot be read at once has succeeded, without `current`."""
    reads = storage.read

    async def fails(*_: Any, **__: Any) -> Read:
        raise unavailable()

    async with serving_from(storage, settings) as stub:
        await put(stub, key("other"))  # the server has begun to work
        monkeypatch.setattr(storage, "read", fails)
        answer = await put(stub, key(), context(user_id="u"), include_layers=True)
        assert answer.revision > 0
        assert not answer.HasField("current")
        monkeypatch.setattr(storage, "read", reads)
        assert (await get(stub, key())).entry.version == answer.revision


@pytest.mark.parametrize("includes", [[], [AGENT]], ids=["none", "one"])
async def test_a_lease_brings_an_existing_entry(stub: Stub, includes: list[Any]) -> None:
    """`current` is the answer of a Get with `include_layers`, in place of `entry`."""
    await put(stub, AGENT, context(llm_config={"m": 1}))
    await put(stub, key(), context(user_id="u", includes=includes))
    answer = await lease(stub, include_layers=True)
    assert answer.WhichOneof("result") == "current"
    assert untimed(answer.current) == await read(stub)
    assert answer.current.revision >= answer.revision > 0


async def test_a_missing_entry_is_leased(stub: Stub) -> None:
    """If there is no entry, `include_layers` changes nothing: the caller gets the lease."""
    answer = await lease(stub, include_layers=True)
    assert answer.lease.token
    version = (await put(stub, key(), lease_token=answer.lease.token)).revision
    assert (await lease(stub, include_layers=True)).current.entry.version == version


async def test_a_waiting_caller_gets_the_layers_too(stub: Stub) -> None:
    """Who waits for another caller's lease gets the entry that is then there, with its layers."""
    await put(stub, AGENT)
    token = (await lease(stub)).lease.token
    waiting = stub.Lease(
        LeaseRequest(key=key(), wait={"seconds": 20}, include_layers=True), timeout=TIMEOUT
    )
    await put(stub, key(), context(includes=[AGENT]), lease_token=token)
    answer = await waiting
    assert [layer.key for layer in answer.current.layers] == [AGENT]


class TestRights:
    """What comes along needs the rights that a Get needs."""

    @pytest.fixture
    def store_url(self) -> str:
        """Memory, as rights are the same for every backend."""
        return "memory://"

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        """Settings with one who may only write, one who may not read layers, and an owner."""
        principals = (WRITER, LIMITED, principal("owner", "*"))
        return settings.model_copy(update={"principals": principals})

    async def test_who_may_not_read(self, stub: Stub) -> None:
        """Without the right to read the entry, a Put with `include_layers` writes nothing."""
        request = PutRequest(key=key(), context=context(), include_layers=True)
        failure = await failure_of(stub.Put(request, metadata=bearer("writer"), timeout=TIMEOUT))
        assert (failure.code, failure.reason) == (StatusCode.PERMISSION_DENIED, "ROLE_DENIED")
        assert failure.metadata == {"role": "read", "scope": "conversation"}
        gone = stub.Lease(LeaseRequest(key=key()), metadata=bearer("owner"), timeout=TIMEOUT)
        assert (await gone).HasField("lease")

    async def test_who_may_not_read_a_layer(self, stub: Stub) -> None:
        """No layer comes along that the caller may not read: a Put leaves `current` out."""
        await stub.Put(
            PutRequest(key=AGENT, context=context()), metadata=bearer("owner"), timeout=TIMEOUT
        )
        request = PutRequest(key=key(), context=context(includes=[AGENT]), include_layers=True)
        answer = await stub.Put(request, metadata=bearer("limited"), timeout=TIMEOUT)
        assert answer.revision
        assert not answer.HasField("current")
        asked = LeaseRequest(key=key(), include_layers=True)
        failure = await failure_of(stub.Lease(asked, metadata=bearer("limited"), timeout=TIMEOUT))
        assert failure.metadata == {"role": "read", "scope": "agent_config"}

"""BatchGet: up to 100 Gets, each with a result of its own."""

import asyncio
from collections.abc import Sequence

import pytest
from relevo.v1.context_pb2 import ContextKey
from relevo.v1.store_pb2 import BatchGetRequest, BatchGetResult, Consistency, GetRequest
from relevo_server.keys import Key
from relevo_server.settings import Settings
from relevo_server.storage.interface import Limits, Read
from relevo_server.storage.memory import MemoryStorage
from support.clients.calls import TIMEOUT, Stub, batch_get, context, get, key, put
from support.contexts import of_size
from support.failures import failure_in
from support.servers.serving import serving, serving_from


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Entries of 8 MiB in all take a busy machine longer than the store usually has."""
    return settings.model_copy(update={"store_timeout": TIMEOUT})


async def fill(stub: Stub, *keys: ContextKey, size: int = 100) -> None:
    """Put an entry under each key."""
    for start in range(0, len(keys), 20):
        await asyncio.gather(*(put(stub, each, of_size(size)) for each in keys[start : start + 20]))


def code_of(result: BatchGetResult) -> str:
    """OK, or the name of the error's code."""
    return failure_in(result.error).code.name if result.HasField("error") else "OK"


async def test_hits_and_misses_of_a_hundred(stub: Stub) -> None:
    """A hundred Gets of many tenants are answered in order, each a hit or a miss."""
    keys = [key(f"c{i}", tenant=f"t{i % 7}") for i in range(100)]
    await fill(stub, *keys[::2])
    results = await batch_get(stub, *keys)
    assert [code_of(result) for result in results] == ["OK", "NOT_FOUND"] * 50
    for each, result in zip(keys[::2], results[::2], strict=True):
        assert result.response.entry.key == each
    for each, result in zip(keys[1::2], results[1::2], strict=True):
        failure = failure_in(result.error)
        assert failure.reason == "NO_ENTRY"
        assert failure.metadata == {"key": f"conversation:{each.tenant_id}:{each.id}"}


async def test_every_get_has_its_own_error(stub: Stub) -> None:
    """A Get that is malformed, or ahead of the store, fails alone, with the error of a lone Get."""
    revision = (await put(stub, key(), context(user_id="u"))).revision
    requests = [
        GetRequest(key=key()),
        GetRequest(),
        GetRequest(key=key(""), min_revision=-1),
        GetRequest(key=key("none")),
        GetRequest(key=key(), min_revision=revision + 1),
        GetRequest(key=key(), known_version=revision),
        GetRequest(key=key(), include_layers=True),
    ]
    response = await stub.BatchGet(BatchGetRequest(requests=requests), timeout=TIMEOUT)
    results = list(response.results)
    assert [code_of(result) for result in results] == [
        "OK",
        "INVALID_ARGUMENT",
        "INVALID_ARGUMENT",
        "NOT_FOUND",
        "FAILED_PRECONDITION",
        "OK",
        "OK",
    ]
    assert failure_in(results[1].error).fields == ["key.scope", "key.tenant_id", "key.id"]
    assert failure_in(results[2].error).fields == ["key.id", "min_revision"]
    assert failure_in(results[4].error).reason == "STORE_BEHIND"
    assert results[5].response.not_modified
    for i, result in enumerate(results):
        if result.HasField("response"):
            alone = await stub.Get(requests[i], timeout=TIMEOUT)
            assert result.response.revision == alone.revision
            assert result.response.entry.context == alone.entry.context


async def test_a_key_may_be_asked_for_twice(stub: Stub) -> None:
    """Several Gets of a batch may have the same key, and each is answered."""
    await put(stub, key())
    assert [code_of(result) for result in await batch_get(stub, key(), key())] == ["OK", "OK"]


async def test_an_answer_has_a_limit(settings: Settings) -> None:
    """Results that do not fit are named and left out; later ones that fit are returned."""
    async with serving(settings.model_copy(update={"max_batch_bytes": 25_000})) as stub:
        keys = [key(f"c{i}") for i in range(5)]
        await fill(stub, *keys[:4], size=10_000)
        await fill(stub, keys[4], size=100)
        results = await batch_get(stub, *keys)
        assert [code_of(result) for result in results] == [
            "OK",
            "OK",
            "RESOURCE_EXHAUSTED",
            "RESOURCE_EXHAUSTED",
            "OK",
        ]
        failure = failure_in(results[2].error)
        assert failure.reason == "RESPONSE_TOO_LARGE"
        assert failure.metadata == {"limit_bytes": "25000"}


async def test_who_asks_again_comes_on(settings: Settings) -> None:
    """Each answer has at least one entry, so that a client that repeats the rest gets them all."""
    async with serving(settings.model_copy(update={"max_batch_bytes": 1000})) as stub:
        waiting = [key(f"c{i}") for i in range(4)]
        await fill(stub, *waiting, size=5000)
        rounds = 0
        while waiting:
            rounds += 1
            results = await batch_get(stub, *waiting)
            waiting = [
                each
                for each, result in zip(waiting, results, strict=True)
                if result.HasField("error")
            ]
        assert rounds == 4


async def test_any_batch_fits_into_a_plain_clients_channel(stub: Stub) -> None:
    """By default, no answer is larger than the 4 MiB that gRPC clients accept by default."""
    keys = [key(f"{i:0256}", tenant="t" * 256) for i in range(100)]
    await fill(stub, *keys[:30], size=262_144)
    await fill(stub, *keys[30:], size=5000)
    results = await batch_get(stub, *keys)
    assert {code_of(result) for result in results} == {"OK", "RESOURCE_EXHAUSTED"}


async def test_layers_in_a_batch(stub: Stub) -> None:
    """A Get in a batch may request layers."""
    agent = key("a1", scope="agent_config")
    await put(stub, agent, context(llm_config={"model": "m1"}))
    await put(stub, key(), context(includes=[agent]))
    request = GetRequest(key=key(), include_layers=True)
    response = await stub.BatchGet(BatchGetRequest(requests=[request]), timeout=TIMEOUT)
    assert [layer.key for layer in response.results[0].response.layers] == [agent]
    assert not (await get(stub, key())).layers


class Counting(MemoryStorage):
    """A backend that counts reads, and the bytes of the contexts that they return."""

    def __init__(self) -> None:
        super().__init__(4, log_length=1000, request_ttl_ms=600_000)
        self.reads = 0
        self.bytes = 0

    async def read(
        self,
        keys: Sequence[Key],
        known_versions: Sequence[int] = (),
        limits: Limits | None = None,
    ) -> Read:
        """Look the entries up."""
        read = await super().read(keys, known_versions, limits)
        self.reads += 1
        self.bytes += sum(len(stored.context or b"") for stored in read.entries if stored)
        return read


@pytest.fixture
def counting() -> Counting:
    """That backend."""
    return Counting()


async def test_no_more_is_read_than_is_answered(counting: Counting) -> None:
    """A batch whose entries have 64 times as much as fits reads little more than what fits."""
    limit, size, count = 200_000, 20_000, 40
    settings = Settings(max_batch_bytes=limit)
    async with serving_from(counting, settings) as stub:
        layers = [key(f"l{i}", scope="agent_config") for i in range(16)]
        heads = [key(f"c{i}") for i in range(count)]
        await fill(stub, *layers, size=size)
        for each in heads:
            await put(stub, each, context(includes=layers))
        for is_known in (False, True):  # whether the server knows which layers there are
            counting.reads = counting.bytes = 0
            requests = [GetRequest(key=each, include_layers=True) for each in heads]
            batch = BatchGetRequest(requests=requests)
            response = await stub.BatchGet(batch, timeout=TIMEOUT)
            codes = [code_of(result) for result in response.results]
            assert codes == ["OK", *["RESOURCE_EXHAUSTED"] * (count - 1)]
            assert counting.bytes < limit + 17 * size
            assert counting.reads <= count + 2 if is_known else 2 * count + 2


async def test_a_usual_batch_is_one_read_for_each_get(counting: Counting) -> None:
    """Entries that are smaller than their share of the answer are read once."""
    async with serving_from(counting, Settings()) as stub:
        agent = key("a1", scope="agent_config")
        keys = [key(f"c{i}") for i in range(100)]
        await fill(stub, agent, size=3000)
        for each in keys:
            await put(stub, each, context(includes=[agent], user_id="u"))
        requests = [GetRequest(key=each, include_layers=True) for each in keys]
        batch = BatchGetRequest(requests=requests)
        await stub.BatchGet(batch, timeout=TIMEOUT)  # it has to find out which layers there are
        counting.reads = 0
        response = await stub.BatchGet(batch, timeout=TIMEOUT)
        assert {code_of(result) for result in response.results} == {"OK"}
        assert counting.reads == 100


async def test_layers_that_an_entry_no_longer_has(counting: Counting) -> None:
    """Layers that the server remembers, but which the entry no longer has, take no room."""
    async with serving_from(counting, Settings(max_batch_bytes=20_000)) as stub:
        layers = [key(f"l{i}", scope="agent_config") for i in range(16)]
        heads = [key(f"c{i}") for i in range(3)]
        await fill(stub, *layers, size=10_000)
        requests = [GetRequest(key=each, include_layers=True) for each in heads]
        for includes in (layers, []):
            for each in heads:
                await put(stub, each, context(includes=includes))
            response = await stub.BatchGet(BatchGetRequest(requests=requests), timeout=TIMEOUT)
        assert [code_of(result) for result in response.results] == ["OK"] * 3


async def test_small_answers_go_before_large_ones(settings: Settings) -> None:
    """What is smaller than its share is answered, whatever the others ask for."""
    async with serving(settings.model_copy(update={"max_batch_bytes": 50_000})) as stub:
        large, small = [key(f"l{i}") for i in range(4)], [key(f"s{i}") for i in range(4)]
        await fill(stub, *large, size=20_000)
        await fill(stub, *small, size=2000)
        results = await batch_get(stub, *large, *small)
        assert [code_of(result) for result in results] == [
            *["OK", "OK", "RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED"],
            *["OK"] * 4,
        ]


async def test_known_versions_take_no_room(settings: Settings) -> None:
    """An entry that the caller has already is not modified, and takes no room, however large."""
    async with serving(settings.model_copy(update={"max_batch_bytes": 1000})) as stub:
        keys = [key(f"c{i}") for i in range(3)]
        await fill(stub, *keys, size=5000)
        requests = [
            GetRequest(key=each, known_version=(await get(stub, each)).entry.version)
            for each in keys
        ]
        response = await stub.BatchGet(BatchGetRequest(requests=requests), timeout=TIMEOUT)
        assert all(result.response.not_modified for result in response.results)


async def test_large_entries_from_the_servers_memory(settings: Settings) -> None:
    """Entries in the server's memory are bound by the size of the answer as others are."""
    async with serving(settings.model_copy(update={"max_batch_bytes": 12_000})) as stub:
        keys = [key(f"c{i}") for i in range(4)]
        await fill(stub, *keys, size=5000)
        cached = Consistency.CONSISTENCY_CACHED
        requests = [GetRequest(key=each, consistency=cached) for each in keys]
        for _ in range(3):
            response = await stub.BatchGet(BatchGetRequest(requests=requests), timeout=TIMEOUT)
            codes = [code_of(result) for result in response.results]
            assert codes == ["OK", "OK", "RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED"]

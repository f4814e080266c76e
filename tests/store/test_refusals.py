"""Calls that end without an answer, for reasons other than their arguments."""

import asyncio
import time
from collections.abc import Sequence

import pytest
from grpc import StatusCode, aio
from relevo.v1.store_pb2 import GetRequest
from relevo_server.keys import Key
from relevo_server.settings import Settings
from relevo_server.storage import Storage
from relevo_server.storage.interface import Limits, Read, Write, Written
from relevo_server.storage.memory import MemoryStorage
from support.clients.calls import Stub, context, get, key, masked, put
from support.failures import failure_of
from support.servers.serving import serving_from
from support.servers.storages import GatedStorage
from support.waiting import until_async


@pytest.mark.parametrize("masks", [(), ("user_id",)], ids=["get", "masked put"])
async def test_bytes_that_are_not_a_context(
    storage: Storage, storage_stub: Stub, masks: tuple[str, ...]
) -> None:
    """Bytes that are not a context are DATA_LOSS, and a masked Put does not overwrite them."""
    await storage.write(Write(Key("conversation", "acme", "c1"), b"\xff\xff", 60_000))
    call = (
        put(storage_stub, key(), update_mask=masked(*masks)) if masks else get(storage_stub, key())
    )
    failure = await failure_of(call)
    assert (failure.code, failure.reason) == (StatusCode.DATA_LOSS, "CORRUPT_ENTRY")
    assert failure.metadata == {"key": "conversation:acme:c1"}
    await put(storage_stub, key(), context(user_id="u"))
    assert (await get(storage_stub, key())).entry.context.user_id == "u"


async def test_more_calls_than_the_server_may_work_on() -> None:
    """Calls over the limit are refused at once with a retry delay; the others continue."""
    storage = GatedStorage()
    settings = Settings(max_concurrent_calls=3)
    async with serving_from(storage, settings) as stub:
        await put(stub, key())
        storage.gate.clear()
        working = [asyncio.create_task(get(stub, key())) for _ in range(3)]
        await until_async(lambda: storage.waiting == 3)
        failure = await failure_of(get(stub, key()))
        assert failure.code is StatusCode.RESOURCE_EXHAUSTED
        assert failure.reason == "TOO_MANY_REQUESTS"
        assert failure.retry_after is not None
        assert failure.retry_after > 0
        storage.gate.set()
        assert all(answer.entry.key == key() for answer in await asyncio.gather(*working))
        for _ in range(10):
            await get(stub, key())


async def test_calls_that_end_badly_are_not_counted_for_ever() -> None:
    """Failed and cancelled calls free their place for the next one."""
    storage = GatedStorage()
    async with serving_from(storage, Settings(max_concurrent_calls=2)) as stub:
        await put(stub, key())
        for _ in range(5):
            assert (await failure_of(get(stub, key("none")))).reason == "NO_ENTRY"
            assert (await failure_of(get(stub, key("")))).reason == "INVALID_FIELD"
        for _ in range(5):
            storage.gate.clear()
            call = asyncio.create_task(get(stub, key()))
            await until_async(lambda: storage.waiting)
            call.cancel()
            await until_async(lambda: not storage.waiting)
            storage.gate.set()
        assert (await get(stub, key())).entry.key == key()


@pytest.mark.timing
@pytest.mark.parametrize("deadline", [1.0, 2.0])
async def test_a_backend_that_never_answers(deadline: float) -> None:
    """If the backend never answers, the call is UNAVAILABLE before its deadline, with a delay."""
    storage = GatedStorage()
    async with serving_from(storage, Settings()) as stub:
        storage.gate.clear()
        begin = time.monotonic()
        failure = await failure_of(stub.Get(GetRequest(key=key()), timeout=deadline))
        assert time.monotonic() - begin < deadline
        assert (failure.code, failure.reason) == (StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE")
        assert failure.retry_after is not None
        await until_async(lambda: not storage.waiting)


class RestlessStorage(MemoryStorage):
    """A backend that writes the same entry again before each write."""

    async def write(self, write: Write) -> Written:
        """Write twice."""
        await super().write(Write(write.key, b"", 60_000))
        return await super().write(write)


async def test_a_masked_put_that_is_never_fast_enough() -> None:
    """A masked Put that other writers keep overtaking ends with ABORTED, and may be repeated."""
    storage = RestlessStorage(4, log_length=1000, request_ttl_ms=60_000)
    async with serving_from(storage, Settings()) as stub:
        await put(stub, key())
        failure = await failure_of(
            put(stub, key(), context(user_id="u"), update_mask=masked("user_id"))
        )
        assert (failure.code, failure.reason) == (StatusCode.ABORTED, "CONTENTION")
        assert failure.retry_after is not None
        assert not (await get(stub, key())).entry.context.user_id


class BrokenStorage(MemoryStorage):
    """A backend with a defect that quotes a secret."""

    async def read(
        self,
        keys: Sequence[Key],
        known_versions: Sequence[int] = (),
        limits: Limits | None = None,
    ) -> Read:
        """Fail with that text."""
        raise KeyError(f"s3cret of {keys}, {known_versions}, {limits}")


async def test_a_defect(caplog: pytest.LogCaptureFixture) -> None:
    """An unexpected error is INTERNAL with a fixed text; its own text is not passed on."""
    storage = BrokenStorage(4, log_length=1000, request_ttl_ms=60_000)
    async with serving_from(storage, Settings()) as stub:
        failure = await failure_of(get(stub, key()))
        assert (failure.code, failure.reason) == (StatusCode.INTERNAL, "INTERNAL")
        with pytest.raises(aio.AioRpcError) as caught:
            await get(stub, key())
    assert "s3cret" not in str(caught.value)
    assert "KeyError" in caplog.text
    assert "s3cret" not in caplog.text

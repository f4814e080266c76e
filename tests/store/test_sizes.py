"""The size limit: 256 KiB of the serialized context, to the byte."""

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode
from relevo_server.settings import Settings
from support.clients.calls import Stub, get, is_alive, key, put
from support.contexts import of_size
from support.failures import failure_of
from support.servers.serving import serving

LIMIT = 256 * 1024


async def test_256_kib_are_accepted(stub: Stub) -> None:
    """A context of exactly 256 KiB is stored and returned whole."""
    largest = of_size(LIMIT)
    await put(stub, key(), largest)
    found = (await get(stub, key())).entry.context
    assert found.llm_config == largest.llm_config


async def test_one_byte_more_is_refused(stub: Stub) -> None:
    """One byte more is RESOURCE_EXHAUSTED, with the sizes; the entry stays as it was."""
    before = await put(stub, key(), of_size(LIMIT))
    failure = await failure_of(put(stub, key(), of_size(LIMIT + 1)))
    assert (failure.code, failure.reason) == (StatusCode.RESOURCE_EXHAUSTED, "CONTEXT_TOO_LARGE")
    assert failure.metadata == {"size_bytes": str(LIMIT + 1), "limit_bytes": str(LIMIT)}
    answer = await get(stub, key())
    assert answer.revision == answer.entry.version == before.revision


async def test_far_too_much_is_refused_in_the_same_words(stub: Stub) -> None:
    """A context of several MiB gets the store's own error too, not one of gRPC's."""
    failure = await failure_of(put(stub, key(), of_size(3 << 20)))
    assert failure.reason == "CONTEXT_TOO_LARGE"
    assert not await is_alive(stub, key())


async def test_what_the_store_sets_does_not_count(stub: Stub) -> None:
    """A caller's `update_time` does not count for the size: the store sets its own."""
    largest = of_size(LIMIT)
    largest.update_time.CopyFrom(Timestamp(seconds=1))
    await put(stub, key(), largest)
    assert (await get(stub, key())).entry.context.update_time.seconds > 1


@pytest.mark.parametrize("limit", [1000, 1 << 20])
async def test_the_settings_decide(settings: Settings, limit: int) -> None:
    """The setting can raise the default limit as well as lower it."""
    async with serving(settings.model_copy(update={"max_context_bytes": limit})) as stub:
        await put(stub, key(), of_size(limit))
        failure = await failure_of(put(stub, key(), of_size(limit + 1)))
        assert failure.metadata["limit_bytes"] == str(limit)

"""Errors about names of any length fit into the header limits of gRPC's libraries."""

import pytest
from grpc import StatusCode
from relevo.v1.store_pb2 import GetRequest
from relevo_server.keys import Key
from relevo_server.server import Server
from relevo_server.settings import Settings
from relevo_server.wire.statuses import status_of
from support.clients.access import bearer, principal
from support.clients.calls import key
from support.clients.raw import raw_client, trailer_size
from support.servers.statuses import of_key


async def test_a_tenant_of_any_length(settings: Settings) -> None:
    """PERMISSION_DENIED is returned before the tenant's name is validated, whatever its length."""
    known = settings.model_copy(update={"principals": (principal("t", "acme"),)})
    async with Server(known) as server, raw_client(server.address) as client:
        message = GetRequest(key=key(tenant="😀" * 100_000))
        failure = await client.send("Get", message.SerializeToString(), metadata=bearer("t"))
        assert failure
        assert failure.code is StatusCode.PERMISSION_DENIED
        assert failure.metadata["tenant_id"].endswith("😀...")


@pytest.mark.parametrize("part", ["x", "😀", "%"])
def test_every_error_fits_into_a_header(part: str) -> None:
    """For any key, an error takes at most 6 of the 8 KiB that all libraries accept."""
    longest = part * (256 // len(part.encode()))
    for error in of_key(Key(longest, longest, longest)):
        size = trailer_size(error.message, status_of(error).SerializeToString())
        assert size < 6144, error.reason

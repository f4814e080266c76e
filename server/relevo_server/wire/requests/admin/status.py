"""GetStatus and ListPartitions: requests without fields."""

from relevo.admin.v1.admin_pb2 import GetStatusRequest, ListPartitionsRequest

from relevo_server.wire.decoding import decoder
from relevo_server.wire.requests.rules import Rights

_decode_status = decoder(GetStatusRequest)
_decode_partitions = decoder(ListPartitionsRequest)


def read_get_status(serialized: bytes, rights: Rights) -> None:
    """Read a GetStatusRequest. Raises INVALID_ARGUMENT."""
    del rights  # nothing of the answer is a tenant's
    _decode_status(serialized)


def read_list_partitions(serialized: bytes, rights: Rights) -> None:
    """Read a ListPartitionsRequest. Raises INVALID_ARGUMENT."""
    del rights  # nothing of the answer is a tenant's
    _decode_partitions(serialized)

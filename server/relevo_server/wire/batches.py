"""The results of a BatchGet, joined from the bytes of what is in them."""

from relevo.v1.store_pb2 import BatchGetResponse, BatchGetResult

from relevo_server.wire.framing import tag, varint

_RESULT = tag(BatchGetResponse.RESULTS_FIELD_NUMBER)
_RESPONSE = tag(BatchGetResult.RESPONSE_FIELD_NUMBER)
_ERROR = tag(BatchGetResult.ERROR_FIELD_NUMBER)


def response_part(response: bytes) -> tuple[bytes, bytes]:
    """A result of a BatchGetResponse, which is all of its results joined: a GetResponse."""
    return _part(_RESPONSE, response)


def error_part(status: bytes) -> tuple[bytes, bytes]:
    """The same for a Get that has failed, with its status."""
    return _part(_ERROR, status)


def _part(field: bytes, content: bytes) -> tuple[bytes, bytes]:
    """The framing and the content, apart: a large one is copied only when all are joined."""
    head = field + varint(len(content))
    return b"".join((_RESULT, varint(len(head) + len(content)), head)), content

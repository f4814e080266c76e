"""ListKeys: the keys of a tenant, in pages."""

from itertools import chain
from typing import NamedTuple

from relevo.admin.v1.admin_pb2 import ListKeysRequest

from relevo_server.roles import ADMIN
from relevo_server.wire.decoding import decoder
from relevo_server.wire.requests.admin.pages import cursor_of, token_of
from relevo_server.wire.requests.rules import Rights, count_problems, refuse, selector_problems

_DEFAULT_SIZE, _MAX_SIZE = 100, 1000
_decode = decoder(ListKeysRequest)


class ListKeys(NamedTuple):
    """A checked ListKeysRequest."""

    tenant_id: str
    scope: str
    """"" for every scope."""
    size: int
    """About as many keys as a page has."""
    cursor: str
    """The start of the page, "" for the beginning."""

    def next_page_token(self, cursor: str) -> str:
        """The token for the page that begins at a cursor, "" for the end of the list."""
        return token_of((self.tenant_id, self.scope), cursor)


def read_list_keys(serialized: bytes, rights: Rights) -> ListKeys:
    """Read a ListKeysRequest. Raises PERMISSION_DENIED or INVALID_ARGUMENT."""
    request = _decode(serialized)
    rights.require(request.tenant_id, ADMIN, request.scope)
    refuse(
        chain(
            selector_problems("", request.tenant_id, request.scope),
            count_problems("page_size", request.page_size, _MAX_SIZE),
        )
    )
    cursor = cursor_of((request.tenant_id, request.scope), request.page_token)
    size = request.page_size or _DEFAULT_SIZE
    return ListKeys(request.tenant_id, request.scope, size, cursor)

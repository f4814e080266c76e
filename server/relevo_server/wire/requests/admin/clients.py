"""ListClients: the clients whose streams a server serves."""

from itertools import chain
from typing import NamedTuple

from relevo.admin.v1.admin_pb2 import ListClientsRequest

from relevo_server import errors
from relevo_server.roles import ADMIN
from relevo_server.wire.decoding import decoder
from relevo_server.wire.requests.admin.pages import cursor_of, token_of
from relevo_server.wire.requests.rules import Rights, count_problems, part_problems, refuse

_DEFAULT_SIZE, _MAX_SIZE = 100, 1000
_decode = decoder(ListClientsRequest)


class ListClients(NamedTuple):
    """A checked ListClientsRequest."""

    service_name: str
    """"" for every service."""
    size: int
    after: int
    """The number of the last client of the page before, 0 for none."""

    def next_page_token(self, last: int) -> str:
        """The token for the page that follows this number, "" after the last page (0)."""
        return token_of((self.service_name,), str(last) if last else "")


def read_list_clients(serialized: bytes, rights: Rights) -> ListClients:
    """Read a ListClientsRequest. Raises PERMISSION_DENIED or INVALID_ARGUMENT."""
    request = _decode(serialized)
    rights.require_everything(ADMIN)
    name = request.service_name
    refuse(
        chain(
            part_problems("", service_name=name) if name else (),
            count_problems("page_size", request.page_size, _MAX_SIZE),
        )
    )
    cursor = cursor_of((name,), request.page_token)
    if cursor and not (cursor.isascii() and cursor.isdecimal() and len(cursor) < 20):
        raise errors.page_token_unknown()
    return ListClients(name, request.page_size or _DEFAULT_SIZE, int(cursor or 0))

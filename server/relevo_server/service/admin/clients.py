"""ListClients: who is connected, and how their caches do."""

from relevo.admin.v1.admin_pb2 import ConnectedClient, ListClientsResponse

from relevo_server.service.connections import Connection, Connections
from relevo_server.wire.requests.admin import ListClients


class Clients:
    """Lists the clients of a server."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def list_clients(self, request: ListClients) -> ListClientsResponse:
        """A page of clients, those that connected first in front."""
        found = [
            each
            for each in self._connections
            if each.number > request.after
            and request.service_name in ("", each.client.service_name)
        ]
        page = found[: request.size]
        last = page[-1].number if len(found) > len(page) else 0
        return ListClientsResponse(
            clients=map(_client, page), next_page_token=request.next_page_token(last)
        )


def _client(connection: Connection) -> ConnectedClient:
    outbox = connection.outbox
    client = ConnectedClient(
        client=connection.client,
        principal=connection.principal,
        peer=connection.peer,
        subscriptions=len(connection.keys),
        outbox_bytes=outbox.size,
        resets=outbox.partition_resets,
    )
    client.connect_time.FromNanoseconds(round(connection.connected * 1e9))
    client.lag.FromNanoseconds(round(outbox.lag() * 1e9))
    if connection.report:
        client.cache.CopyFrom(connection.report)
        client.report_time.FromNanoseconds(round(connection.reported * 1e9))
    return client

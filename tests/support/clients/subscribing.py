"""The requests of a near cache that a test drives without a stream."""

from relevo.v1.store_pb2 import Position, Progress, Subscribe, WatchResponse
from relevo_client._near_cache.machine import NearCache


def subscribes(cache: NearCache, partition: int, position: int) -> list[Subscribe]:
    """The Subscribes that a cache has queued; pings are answered with this position."""
    found: list[Subscribe] = []
    for request in cache.requests():
        if request.HasField("subscribe"):
            found.append(request.subscribe)
        elif request.HasField("ping"):
            proof = Position(partition=partition, revision=position, ping=request.ping.number)
            cache.received(WatchResponse(progress=Progress(positions=[proof])))
    return found

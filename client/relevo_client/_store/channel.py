"""Channels to the store: how one is set up, and what every call on it carries."""

import json

import grpc
from grpc import aio
from relevo.v1 import store_pb2

from relevo_client._context.errors import InvalidFieldError
from relevo_client._context.kinds import Kind, must_not_be

_SERVICE = store_pb2.DESCRIPTOR.services_by_name["ContextStore"].full_name

CHANNEL_OPTIONS: tuple[tuple[str, int | str], ...] = (
    # Every call here may be repeated: what writes, ends or leases has a request_id.
    (
        "grpc.service_config",
        json.dumps(
            {
                "methodConfig": [
                    {
                        "name": [{"service": _SERVICE}],
                        "retryPolicy": {
                            "maxAttempts": 3,
                            "initialBackoff": "0.05s",
                            "maxBackoff": "0.5s",
                            "backoffMultiplier": 3,
                            # A server that stops ends as cancelled what comes last.
                            "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
                        },
                    }
                ]
            }
        ),
    ),
    ("grpc.max_receive_message_length", -1),
    # A server that comes back is found at once, however long it was away.
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # Notice a silent peer. The server allows pings that are as frequent as 5 s.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
)
"""Options of a channel to the store: repetition, large answers, keepalive."""


def metadata_of(token: str | None) -> tuple[tuple[str, str], ...]:
    """What every call carries. Raises InvalidFieldError for a token that no header can hold."""
    if not token:
        return ()
    if not (token.isascii() and token.isprintable()):
        raise InvalidFieldError([("token", "must be printable ASCII, without a line end")])
    return (("authorization", f"Bearer {token}"),)


_BLOCKING = Kind(grpc.Channel, "a grpc.Channel")
_ASYNCIO = Kind(aio.Channel, "a grpc.aio.Channel")


def must_be_blocking(channel: object, user: str, *, instead: str) -> None:
    """Raise TypeError for an asyncio channel, which `user` cannot work with; `instead` can."""
    must_not_be(_ASYNCIO, channel, user, needed=_BLOCKING, instead=instead)


def must_be_asyncio(channel: object, user: str, *, instead: str) -> None:
    """Raise TypeError for a blocking channel, which `user` cannot work with; `instead` can."""
    must_not_be(_BLOCKING, channel, user, needed=_ASYNCIO, instead=instead)

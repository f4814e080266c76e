"""Channels to the store: their options, and checks of a channel's kind."""

import json
from typing import Literal, TypeAlias, get_args

import grpc
from grpc import aio
from relevo.v1 import store_pb2

from relevo_client._context.kinds import Kind, must_not_be

_SERVICE = store_pb2.DESCRIPTOR.services_by_name["ContextStore"].full_name

CHANNEL_OPTIONS: tuple[tuple[str, int | str], ...] = (
    # Every RPC may be retried: a request that changes something has a request_id.
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
                            # A server that stops ends its last calls with CANCELLED.
                            "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
                        },
                    }
                ]
            }
        ),
    ),
    ("grpc.max_receive_message_length", -1),
    # Reconnect within a second of a server's return, however long it was away.
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # By default half a minute: a fleet may be replaced in less, and all known addresses be gone.
    ("grpc.dns_min_time_between_resolutions_ms", 5_000),
    # Detect a silent peer. The server allows one ping every 5 s.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
)
"""gRPC channel options for a channel to the store: retries, large answers, keepalive.

A tuple of pairs of name and value, for `grpc.insecure_channel(target, options=...)` and the like.
Clients that are given a target use them by themselves.
"""


Balance: TypeAlias = Literal["pick_first", "round_robin"]
"""The distribution of a client's calls over the addresses of its target."""


def options_of(target: str | None, balance: Balance) -> tuple[tuple[str, int | str], ...]:
    """The options of a client's channel. Raises ValueError for `balance` without a target."""
    if balance not in get_args(Balance):
        raise ValueError(f"balance: must be one of {', '.join(get_args(Balance))}")
    if balance == "pick_first":
        return CHANNEL_OPTIONS
    if target is None:
        raise ValueError("balance needs a target: a channel has options of its own")
    return (*CHANNEL_OPTIONS, ("grpc.lb_policy_name", balance))


_BLOCKING = Kind(grpc.Channel, "a grpc.Channel")
_ASYNCIO = Kind(aio.Channel, "a grpc.aio.Channel")


def must_be_blocking(channel: object, user: str, *, instead: str) -> None:
    """Raise TypeError for an asyncio channel; `user` cannot work with one, `instead` can."""
    must_not_be(_ASYNCIO, channel, user, needed=_BLOCKING, instead=instead)


def must_be_asyncio(channel: object, user: str, *, instead: str) -> None:
    """Raise TypeError for a blocking channel; `user` cannot work with one, `instead` can."""
    must_not_be(_BLOCKING, channel, user, needed=_ASYNCIO, instead=instead)

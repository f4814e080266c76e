"""Channels to services with replicas: calls go to all of them in turn."""

import json
from typing import Any

from grpc import aio
from relevo_client import CHANNEL_OPTIONS

_ROUND_ROBIN: dict[str, Any] = {"loadBalancingConfig": [{"round_robin": {}}]}
_CONFIG = "grpc.service_config"
ROUND_ROBIN = ((_CONFIG, json.dumps(_ROUND_ROBIN)),)
"""The options of a channel whose target names several replicas, as `ipv4:HOST:PORT,HOST:PORT`."""


def store_channel(target: str) -> aio.Channel:
    """A channel to the ContextStore's replicas."""
    options: dict[str, Any] = dict(CHANNEL_OPTIONS)
    config = json.dumps({**json.loads(options[_CONFIG]), **_ROUND_ROBIN})
    return aio.insecure_channel(target, options=[*{**options, _CONFIG: config}.items()])


def target_of(addresses: list[str]) -> str:
    """The gRPC target of replicas at these addresses of loopback: host and port each."""
    return "ipv4:" + ",".join(addresses)

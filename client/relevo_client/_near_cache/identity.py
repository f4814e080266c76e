"""The identity that a client reports to operators. No decision depends on it.

The names come from the environment, as OpenTelemetry's SDKs read it:
https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

import os
import socket
from collections.abc import Mapping
from urllib.parse import unquote

from relevo.v1.store_pb2 import ClientInfo

from relevo_client._near_cache.options import CacheOptions
from relevo_client._telemetry.instruments import RELEASE

_MAX_BYTES = 256


def client_info(options: CacheOptions, environment: Mapping[str, str] = os.environ) -> ClientInfo:
    """The identity of this process. Not cached, as a forked child has its own."""
    attributes = _attributes(environment.get("OTEL_RESOURCE_ATTRIBUTES", ""))
    service_name = (
        options.service_name
        or environment.get("OTEL_SERVICE_NAME", "")
        or attributes.get("service.name", "")
    )
    return ClientInfo(
        service_name=_cut(service_name),
        service_version=_cut(options.service_version or attributes.get("service.version", "")),
        host_name=_cut(attributes.get("host.name", "") or socket.gethostname()),
        process_id=os.getpid(),
        library=f"relevo-python/{RELEASE}",
    )


def _attributes(text: str) -> dict[str, str]:
    """The attributes of `name=value,name=value`, with percent-encoded values."""
    pairs = (pair.partition("=") for pair in text.split(","))
    return {name.strip(): unquote(value.strip()) for name, _, value in pairs}


def _cut(text: str) -> str:
    """A text of at most 256 bytes. Characters that cannot be encoded become `?`."""
    return text.encode(errors="replace")[:_MAX_BYTES].decode(errors="ignore")

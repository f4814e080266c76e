"""Who a client is, for the operators of the store. It decides nothing.

The names come from the environment, as OpenTelemetry's SDKs read it:
https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

import os
import socket
from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from urllib.parse import unquote

from relevo.v1.store_pb2 import ClientInfo

from relevo_client._near_cache.options import CacheOptions

_MAX_BYTES = 256


def client_info(options: CacheOptions, environment: Mapping[str, str] = os.environ) -> ClientInfo:
    """Who this process is now: a forked child is another one than its parent."""
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
        library=f"relevo-python/{_version()}",
    )


def _attributes(text: str) -> dict[str, str]:
    """The attributes of `name=value,name=value`, with percent-encoded values."""
    pairs = (pair.partition("=") for pair in text.split(","))
    return {name.strip(): unquote(value.strip()) for name, _, value in pairs}


def _cut(text: str) -> str:
    """A text of at most 256 bytes. What is no Unicode in it is replaced."""
    return text.encode(errors="replace")[:_MAX_BYTES].decode(errors="ignore")


@lru_cache(1)
def _version() -> str:
    try:
        return version("relevo")
    except PackageNotFoundError:  # copied, not installed
        return "unknown"

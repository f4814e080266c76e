"""The requests of each RPC: from bytes to a checked, typed value, in one step.

Each `read_…` parses a request's bytes once. It raises `StoreError` if a rule is broken or if the
caller may not use the tenant; so what it returns keeps the rules. No other module reads protobuf's
requests.
"""

from relevo_server.wire.requests.get import Get, read_batch, read_get
from relevo_server.wire.requests.invalidate import (
    InvalidateKeys,
    InvalidateTenant,
    read_invalidate,
)
from relevo_server.wire.requests.lease import Lease, Release, read_lease, read_release
from relevo_server.wire.requests.put import Put, PutLimits, read_put
from relevo_server.wire.requests.snapshot import Snapshot, read_snapshot
from relevo_server.wire.requests.watch import (
    Denied,
    Ping,
    Subscribe,
    Touch,
    Unsubscribe,
    WatchedRequest,
    read_watch,
)

__all__ = [
    "Denied",
    "Get",
    "InvalidateKeys",
    "InvalidateTenant",
    "Lease",
    "Ping",
    "Put",
    "PutLimits",
    "Release",
    "Snapshot",
    "Subscribe",
    "Touch",
    "Unsubscribe",
    "WatchedRequest",
    "read_batch",
    "read_get",
    "read_invalidate",
    "read_lease",
    "read_put",
    "read_release",
    "read_snapshot",
    "read_watch",
]

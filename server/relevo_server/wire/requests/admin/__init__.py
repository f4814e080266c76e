"""The requests of the Admin service, from bytes to checked, typed values."""

from relevo_server.wire.requests.admin.changes import Changes, read_changes
from relevo_server.wire.requests.admin.clients import ListClients, read_list_clients
from relevo_server.wire.requests.admin.encryption import (
    RewrapKeys,
    ShredTenant,
    read_rewrap_keys,
    read_shred_tenant,
)
from relevo_server.wire.requests.admin.explain import read_explain
from relevo_server.wire.requests.admin.keys import ListKeys, read_list_keys
from relevo_server.wire.requests.admin.status import read_get_status, read_list_partitions
from relevo_server.wire.requests.admin.usage import (
    ListTopTenants,
    read_get_usage,
    read_list_top_tenants,
)

__all__ = [
    "Changes",
    "ListClients",
    "ListKeys",
    "ListTopTenants",
    "RewrapKeys",
    "ShredTenant",
    "read_changes",
    "read_explain",
    "read_get_status",
    "read_get_usage",
    "read_list_clients",
    "read_list_keys",
    "read_list_partitions",
    "read_list_top_tenants",
    "read_rewrap_keys",
    "read_shred_tenant",
]

"""The requests of the Admin service, from bytes to checked, typed values."""

from relevo_server.wire.requests.admin.changes import Changes, read_changes
from relevo_server.wire.requests.admin.keys import ListKeys, read_list_keys
from relevo_server.wire.requests.admin.status import read_get_status, read_list_partitions

__all__ = [
    "Changes",
    "ListKeys",
    "read_changes",
    "read_get_status",
    "read_list_keys",
    "read_list_partitions",
]

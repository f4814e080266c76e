"""Storage backends for entries: one interface, implemented in memory and on Redis."""

from relevo_server.storage.interface import LayoutError, Storage
from relevo_server.storage.opening import open_storage

__all__ = ["LayoutError", "Storage", "open_storage"]

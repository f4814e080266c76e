"""Storage backends for entries: one interface, implemented in memory and on Redis."""

from relevo_server.storage.interface import LayoutError, MissingRightsError, Storage
from relevo_server.storage.opening import open_storage

__all__ = ["LayoutError", "MissingRightsError", "Storage", "open_storage"]

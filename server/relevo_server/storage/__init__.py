"""Storage backends for entries: one interface, implemented in memory and on Redis."""

from relevo_server.storage.interface import Storage
from relevo_server.storage.opening import open_storage
from relevo_server.storage.unusable import LayoutError, MissingRightsError

__all__ = ["LayoutError", "MissingRightsError", "Storage", "open_storage"]

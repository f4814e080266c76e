"""Where entries are kept: one interface, two backends."""

from relevo_server.storage.interface import LayoutError, Storage
from relevo_server.storage.opening import open_storage

__all__ = ["LayoutError", "Storage", "open_storage"]

"""The in-memory backend, for one process."""

from relevo_server.storage.memory.storage import MemoryStorage

__all__ = ["MemoryStorage"]

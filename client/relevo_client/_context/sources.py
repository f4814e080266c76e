"""`ContextSource`: the source of a context."""

from enum import StrEnum


class ContextSource(StrEnum):
    """The source of a context: the value of `ContextEntry.source`, and a metric's attribute."""

    NEAR_CACHE = "near_cache"
    """This client's near cache, which was proven current."""
    RIDER = "rider"
    """A snapshot that came with the call, and was verified by its name."""
    STORE = "store"
    """The store, which was asked."""
    LOADER = "loader"
    """The store, after a loader or a factory of this client had created an entry."""
    LAST_KNOWN = "last_known"
    """The last copy in the near cache: the store could not be asked."""
    FALLBACK = "fallback"
    """A policy's function. Such a context has no entry."""

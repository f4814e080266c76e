"""The error for a server or a Python that is not available."""


class AbsentError(Exception):
    """Raised if a server or a Python is not available on this machine. Its text is the reason."""

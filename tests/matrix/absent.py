"""What cannot be had on this machine."""


class AbsentError(Exception):
    """A server or a Python cannot be had on this machine. The text says why."""

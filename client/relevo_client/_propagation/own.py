"""`Own`: marks Relevo's own interceptors among those of a channel or a server."""


class Own:
    """A base class of Relevo's interceptors.

    `instrument` leaves alone what has one: the explicit way wins.
    """

    is_over = False
    """Whether the interceptor does nothing from now on: `undo` has ended it."""

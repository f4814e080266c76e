"""What the log is told of an exception that a user's function raised.

The class, and the file and line; never the text, which may quote values.
"""

import inspect
from traceback import walk_tb
from types import FrameType

from relevo_client._context.functions import unwrapped

_MACHINERY = frozenset({"relevo_client", "asyncio", "concurrent", "contextlib", "threading"})
"""The packages between a user's function and whoever catches what it raised."""
_FIRST, _LAST = 2, 3
"""How many frames of a long traceback are shown: from its beginning, and from its end."""


def shown(error: BaseException, function: object = None) -> str:
    """An exception's class and place, such as `KeyError in rebuild (/srv/policies.py:42)`.

    The place is the way through the user's code, outermost first. If the exception was not
    raised there, because what `function` returned is wrong, it is where that is defined.
    """
    frames = list(walk_tb(error.__traceback__))
    way = [_place(frame, line) for frame, line in frames if not _is_machinery(frame)]
    if len(way) > _FIRST + _LAST:
        way[_FIRST:-_LAST] = ["…"]
    if not way:
        defined = _defined(function)
        way = [defined] if defined else [_place(*each) for each in frames[-1:]]
    return f"{type(error).__name__} in {' > '.join(way)}" if way else type(error).__name__


def _is_machinery(frame: FrameType) -> bool:
    module: str = frame.f_globals.get("__name__", "")
    return module.partition(".")[0] in _MACHINERY


def _place(frame: FrameType, line: int) -> str:
    return f"{frame.f_code.co_name} ({frame.f_code.co_filename}:{line})"


def _defined(function: object) -> str | None:
    function = unwrapped(function)
    if not inspect.isroutine(function):
        function = getattr(type(function), "__call__", None)  # noqa: B004 - the method itself
    code = getattr(function, "__code__", None)
    return f"{code.co_name} ({code.co_filename}:{code.co_firstlineno})" if code else None

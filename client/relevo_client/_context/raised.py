"""Log texts for exceptions of users' functions: the class, and the place in the user's code.

They never have the exception's text, which may quote values of a context.
"""

import inspect
from traceback import walk_tb
from types import FrameType

from relevo_client._context.functions import unwrapped

_MACHINERY = frozenset({"relevo_client", "asyncio", "concurrent", "contextlib", "threading"})
"""Packages whose frames are left out: they only call the user's function."""
_FIRST, _LAST = 2, 3
"""The numbers of frames that a long traceback keeps at its beginning and at its end."""


def class_and_place(error: BaseException, function: object = None) -> str:
    """An exception's class and place, such as `KeyError in rebuild (/srv/policies.py:42)`.

    The place is the list of the user's frames, outermost first. If there are none, because the
    exception is about a wrong result of `function`, it is the place where `function` is defined.
    """
    frames = list(walk_tb(error.__traceback__))
    places = [_place(frame, line) for frame, line in frames if not _is_machinery(frame)]
    if len(places) > _FIRST + _LAST:
        places[_FIRST:-_LAST] = ["…"]
    if not places:
        definition = _definition(function)
        places = [definition] if definition else [_place(*each) for each in frames[-1:]]
    return f"{type(error).__name__} in {' > '.join(places)}" if places else type(error).__name__


def _is_machinery(frame: FrameType) -> bool:
    module: str = frame.f_globals.get("__name__", "")
    return module.partition(".")[0] in _MACHINERY


def _place(frame: FrameType, line: int) -> str:
    return f"{frame.f_code.co_name} ({frame.f_code.co_filename}:{line})"


def _definition(function: object) -> str | None:
    function = unwrapped(function)
    if not inspect.isroutine(function):
        function = getattr(type(function), "__call__", None)  # noqa: B004 - the method itself
    code = getattr(function, "__code__", None)
    return f"{code.co_name} ({code.co_filename}:{code.co_firstlineno})" if code else None

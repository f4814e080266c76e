"""A process that forks: what its clients are in the child.

A channel, its threads and its streams stay behind in the parent, and so does what
kept a cache current. A client that was made there must say so, and not wait for
threads that are gone, or hold for current what nobody tells it about any more.
"""

import os
from collections.abc import Callable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

_Inherited = TypeVar("_Inherited")

_child_hooks = WeakKeyDictionary[Any, Callable[[Any], None]]()


def call_in_child(function: Callable[[_Inherited], None], inherited: _Inherited) -> None:
    """Call `function(inherited)` first of all in each child process, where that is still there."""
    _child_hooks[inherited] = function


def _run_child_hooks() -> None:
    for inherited, function in list(_child_hooks.items()):
        function(inherited)


if hasattr(os, "register_at_fork"):  # there are no forks on Windows
    os.register_at_fork(after_in_child=_run_child_hooks)

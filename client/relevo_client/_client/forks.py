"""Runs hooks in forked child processes, which cannot use their parent's clients.

A channel, its threads and its streams stay behind in the parent, and so do a cache's updates.
A client from the parent must fail in the child: it must neither wait for threads that are
gone nor trust cached entries that are no longer updated.
"""

import os
from collections.abc import Callable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

_Inherited = TypeVar("_Inherited")

_child_hooks = WeakKeyDictionary[Any, Callable[[Any], None]]()


def call_in_child(function: Callable[[_Inherited], None], inherited: _Inherited) -> None:
    """Call `function(inherited)` at the start of each child process, while `inherited` lives."""
    _child_hooks[inherited] = function


def _run_child_hooks() -> None:
    for inherited, function in list(_child_hooks.items()):
        function(inherited)


if hasattr(os, "register_at_fork"):  # there are no forks on Windows
    os.register_at_fork(after_in_child=_run_child_hooks)

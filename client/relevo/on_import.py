"""Calls functions when a module has been imported: a library is changed only if it is used.

It imports nothing of Relevo, and little else: `relevo-run` loads it into every Python process.
"""

import importlib.util
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, TypeAlias

Hook: TypeAlias = Callable[[], object]


class _Finder:
    """Finds a module as the other finders do, with a loader that calls its hooks."""

    def __init__(self) -> None:
        self.hooks: dict[str, list[Hook]] = {}

    def find_spec(self, fullname: str, _path: object = None, _: object = None) -> ModuleSpec | None:
        """The spec of a module that has hooks; None for any other."""
        hooks = self.hooks.pop(fullname, None)
        if hooks is None:
            return None
        try:
            spec = importlib.util.find_spec(fullname)  # which asks this finder again: None
        finally:
            # Until it has been imported: that may fail, and be tried again.
            self.hooks[fullname] = hooks
        if spec is not None and spec.loader is not None:
            loader: Any = _Loader(spec.loader, lambda: self._imported(fullname))
            spec.loader = loader
        return spec

    def _imported(self, name: str) -> None:
        for hook in self.hooks.pop(name, ()):
            hook()


class _Loader:
    """Loads a module by its own loader, and then calls a function.

    The module keeps no trace of it: its `__loader__` is its own.
    """

    def __init__(self, own: Any, imported: Callable[[], None]) -> None:
        self._own = own
        self._imported = imported

    def __getattr__(self, name: str) -> Any:
        """The attributes of the module's own loader, as `get_source` and `is_package`."""
        return getattr(self._own, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """The module, or None for an ordinary one."""
        module: ModuleType | None = self._own.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Run the module, and call the function."""
        if module.__spec__:
            module.__spec__.loader = self._own
        module.__loader__ = self._own
        self._own.exec_module(module)
        self._imported()


_FINDER: Any = _Finder()


def on_import(module: str, hook: Hook) -> Callable[[], None]:
    """Call `hook()` once the module has been imported: now, if it has been.

    Returns a function that withdraws the hook. What the hook raises, the import raises.
    """
    if module in sys.modules:
        hook()
        return lambda: None
    if _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)
    hooks: list[Hook] = _FINDER.hooks.setdefault(module, [])
    hooks.append(hook)

    def withdraw() -> None:
        if hook in hooks:
            hooks.remove(hook)

    return withdraw

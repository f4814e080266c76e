"""`relevo.on_import`: functions that are called when a module has been imported."""

import importlib
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from relevo.on_import import on_import

NAME = "a_module_of_this_test"


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file of a module that was not imported yet."""
    monkeypatch.syspath_prepend(str(tmp_path))  # pyright: ignore[reportUnknownMemberType]
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    file = tmp_path / f"{NAME}.py"
    file.write_text("VALUE = 1\n")
    finders = list(sys.meta_path)
    yield file
    sys.meta_path[:] = finders
    sys.modules.pop(NAME, None)


def test_after_the_import(module: Path) -> None:
    """A hook is called once, when the module is complete; the module is as without a hook."""
    values: list[int] = []
    on_import(NAME, lambda: values.append(sys.modules[NAME].VALUE))
    on_import(NAME, lambda: values.append(2))
    assert values == []
    imported = importlib.import_module(NAME)
    importlib.import_module(NAME)
    assert values == [1, 2]
    assert imported.__spec__ is not None
    for loader in (imported.__loader__, imported.__spec__.loader):
        assert type(loader).__module__ != on_import.__module__
    assert inspect.getsource(imported) == module.read_text()


def test_a_module_that_is_there(module: Path) -> None:
    """The hook of a module that was imported before is called at once."""
    importlib.import_module(NAME)
    called: list[Path] = []
    on_import(NAME, lambda: called.append(module))
    assert called == [module]


def test_an_import_that_fails(module: Path) -> None:
    """An import that fails calls no hook; the next one, which does not fail, does."""
    called: list[bool] = []
    on_import(NAME, lambda: called.append(True))
    module.write_text("raise LookupError\n")
    with pytest.raises(LookupError):
        importlib.import_module(NAME)
    assert called == []
    module.write_text("VALUE = 1\n")
    importlib.invalidate_caches()
    importlib.import_module(NAME)
    assert called == [True]


def test_what_a_hook_raises(module: Path) -> None:
    """The import raises what its hook raises, as if the module had raised it."""

    def refuse() -> None:
        raise LookupError

    on_import(NAME, refuse)
    with pytest.raises(LookupError):
        importlib.import_module(NAME)
    assert NAME not in sys.modules
    assert importlib.import_module(NAME).VALUE == 1
    assert module.exists()


def test_a_hook_that_is_withdrawn(module: Path) -> None:
    """A hook that was withdrawn is not called; it may be withdrawn again, and at any time."""
    called: list[str] = []
    withdraw = on_import(NAME, lambda: called.append("withdrawn"))
    other = on_import(NAME, lambda: called.append("other"))
    withdraw()
    withdraw()
    importlib.import_module(NAME)
    other()
    assert called == ["other"]
    assert module.exists()


def test_a_module_that_is_nowhere() -> None:
    """A module with a hook that does not exist is not found, as ever."""
    withdraw = on_import("no_module_of_this_name", lambda: None)
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("no_module_of_this_name")
    withdraw()

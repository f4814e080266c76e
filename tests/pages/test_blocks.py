"""Python on pages: programs are files, and other blocks call what there is with its arguments."""

import ast
import inspect
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import relevo_client
from relevo_client import AsyncContextClient, actions, asgi, filters, testing
from relevo_client.actions import faststream

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PROGRAMS = [
    DOCS / "index.md",
    *(page for folder in ("start", "concepts", "howto") for page in (DOCS / folder).glob("*.md")),
]
"""Pages on which each block of code is a file, or a part of one."""
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
"""Pages with blocks of their own."""
_BLOCK = re.compile(r"^```(?:python|js|toml)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_PYTHON = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
_INCLUDE = re.compile(r'--8<-- "([\w./-]+?)(?::(\w+))?"\n')
_CLIENTS = {"contexts", "client"}
"""Names that stand for a client on the pages."""


def public() -> Mapping[str, Any]:
    """What pages import, by name."""
    modules = (relevo_client, actions, asgi, faststream, filters, testing)
    return {name: getattr(module, name) for module in modules for name in module.__all__}


PUBLIC = public()


def calls(text: str) -> Iterator[tuple[str, Any, ast.Call]]:
    """The calls in a block of what is public: the name, the function, and the call."""
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        if isinstance(called, ast.Name) and called.id in PUBLIC:
            yield called.id, PUBLIC[called.id], node
        elif (
            isinstance(called, ast.Attribute)
            and isinstance(called.value, ast.Name)
            and called.value.id in _CLIENTS
        ):
            method = inspect.getattr_static(AsyncContextClient, called.attr, None)
            yield called.attr, method, node


def problems(text: str) -> list[str]:
    """Calls of what there is not, or with keywords that it does not take."""
    found: list[str] = []
    for name, function, call in calls(text):
        if function is None:
            found.append(f"{name} is not there")
            continue
        parameters = inspect.signature(function).parameters
        if any(each.kind is each.VAR_KEYWORD for each in parameters.values()):
            continue
        wrong = {each.arg for each in call.keywords if each.arg} - parameters.keys()
        found += [f"{name} takes no {each}" for each in sorted(wrong)]
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_calls_have_arguments_that_exist(page: Path) -> None:
    """Each block is Python, and calls public names with keywords that they take."""
    blocks = _PYTHON.findall(page.read_text("utf-8"))
    assert [each for block in blocks for each in problems(block)] == []


def test_a_wrong_call_is_seen() -> None:
    """The test above sees what was renamed: a method, an argument, a function's argument."""
    text = "contexts.fetch(key)\ncontexts.put(key, context, time=1)\nPolicy(absent=None)\n"
    assert problems(text) == ["fetch is not there", "put takes no time", "Policy takes no absent"]


@pytest.mark.parametrize("page", PROGRAMS, ids=lambda page: page.relative_to(DOCS).as_posix())
def test_programs_are_files(page: Path) -> None:
    """Each block of code includes one file, or a section that the file has."""
    for block in _BLOCK.findall(page.read_text("utf-8")):
        included = _INCLUDE.fullmatch(block)
        assert included, block
        text = (ROOT / included[1]).read_text("utf-8")
        assert not included[2] or text.count(f"--8<-- [start:{included[2]}]") == 1

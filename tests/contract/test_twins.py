"""The blocking modules are generated from the asyncio ones."""

import re
import subprocess
import sys
from pathlib import Path, PurePosixPath
from shutil import copytree

import pytest
from async_to_sync import NotTwinsError, blocking_source, renamed
from support.imports import ROOT
from twins import TWINS, Twin

pytestmark = pytest.mark.processes  # ruff formats what is made

SOURCE = PurePosixPath("client/relevo_client/_client/aio_thing.py")


def made(source: str, **phrases: str) -> str:
    """The lines that are made from these, without the header."""
    header, _, text = blocking_source(source, Twin(SOURCE, phrases)).partition("\n")
    assert header == "# Generated from aio_thing.py by `make twins`: edit that file, not this one."
    return text


def checked(root: Path) -> "subprocess.CompletedProcess[str]":
    """The result of the check of a repository."""
    return subprocess.run(
        [sys.executable, root / "tools/async_to_sync.py", "--check"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the files that the tool reads."""
    for folder in ("client", "tools"):
        copytree(ROOT / folder, tmp_path / folder)
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    return tmp_path


def test_the_modules_are_what_is_made() -> None:
    """No generated module was edited, and no source was changed without generating again."""
    done = checked(ROOT)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize(
    "page", ["docs/architecture.md", "docs/decisions/0022-one-source-for-two-kinds.md"]
)
def test_pages_list_the_modules(page: str) -> None:
    """The pages name each generated module with its source, and no other."""
    rows = re.findall(r"^\| `(\w+/\w+)(?:\.py)?` \| `(\w+/\w+)(?:\.py)?` \|$",
                      (ROOT / page).read_text("utf-8"), re.MULTILINE)  # fmt: skip
    client = ROOT / "client/relevo_client"
    pairs = {
        frozenset((ROOT / path).relative_to(client).with_suffix("").as_posix() for path in twin)
        for twin in ((each.source, each.target) for each in TWINS)
    }
    assert sorted(map(sorted, pairs)) == sorted(sorted(row) for row in rows)


def test_edits_are_noticed(copy: Path) -> None:
    """A manual edit of a generated module fails the check, which shows the line and the module."""
    for twin in TWINS:
        module = copy / twin.target
        module.write_text(module.read_text("utf-8") + "# By hand.\n", "utf-8")
    done = checked(copy)
    assert done.returncode == len(TWINS)
    for twin in TWINS:
        assert f"{twin.target} is not what `make twins` generates from {twin.source}" in done.stdout
    assert done.stdout.count("\n-# By hand.\n") == len(TWINS)


def test_a_change_of_a_source_is_noticed(copy: Path) -> None:
    """A change of a source fails the check until its module is generated again."""
    twin = TWINS[0]
    source = copy / twin.source
    source.write_text(source.read_text("utf-8") + "\n\nasync def more() -> None: ...\n", "utf-8")
    assert f"{twin.target} is not what" in checked(copy).stdout
    subprocess.run([sys.executable, copy / "tools/async_to_sync.py"], check=True, timeout=60)
    assert (copy / twin.target).read_text("utf-8").endswith("\n\ndef more() -> None: ...\n")
    assert checked(copy).returncode == 0


@pytest.mark.parametrize(
    "name, blocking",
    [
        ("AsyncContextClient", "ContextClient"),
        ("_AsyncThing", "_Thing"),
        ("aio_bound", "bound"),
        ("AsyncGenerator", "Generator"),
        ("__aenter__", "__enter__"),
        # Names that only look like a twin's.
        ("Asynchronous", "Asynchronous"),
        ("aiology", "aiology"),
        ("made_by_aio_thing", "made_by_aio_thing"),
    ],
)
def test_names(name: str, blocking: str) -> None:
    """The names of asyncio's kind lose their mark."""
    assert renamed(name) == blocking


def test_types() -> None:
    """Awaitable types become plain ones, at any depth of a type; text and bytes are unchanged."""
    source = '''"""Thing — with “quotes”."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from typing import Any


def éàü(f: Callable[[int], Awaitable[dict[str, int]]]) -> int | Coroutine[Any, Any, int]: ...


def values(ü: Awaitable[Awaitable[int]]) -> AsyncGenerator[list[int], None]: ...
'''
    assert (
        made(source)
        == '''"""Thing — with “quotes”."""

from collections.abc import Callable, Generator


def éàü(f: Callable[[int], dict[str, int]]) -> int: ...


def values(ü: int) -> Generator[list[int], None, None]: ...
'''
    )


def test_imports() -> None:
    """An import from an asyncio module becomes one from its blocking twin, with its names."""
    source = """from relevo_client._client.aio import AsyncContextClient
from relevo_client.actions._aio_binding import aio_bound

async def aio_use(client: AsyncContextClient) -> None:
    async with aio_bound(client) as each:
        try:
            await each
        except ValueError as error:
            raise aio_failure from error
"""
    assert (
        made(source)
        == """from relevo_client._client.blocking import ContextClient
from relevo_client.actions._blocking_binding import bound


def use(client: ContextClient) -> None:
    with bound(client) as each:
        try:
            each
        except ValueError as error:
            raise failure from error
"""
    )


def test_words() -> None:
    """Names in comments and docstrings are changed, too, with their articles."""
    source = '''def thing() -> str:
    """Use an AsyncThing in `async with`; an `AsyncEntry`, or `aio_bound`."""
    # An AsyncThing, too.
    return f"{{AsyncThing}}: an AsyncThing of {thing()}"
'''
    assert (
        made(source)
        == '''def thing() -> str:
    """Use a Thing in `with`; an `Entry`, or `bound`."""
    # A Thing, too.
    return f"{{Thing}}: a Thing of {thing()}"
'''
    )


def test_phrases() -> None:
    """Phrases that are true for one kind only are replaced by those of a list, unchanged."""
    source = '"""Runs on an event loop."""\n'
    assert made(source, **{"on an event loop": "in threads, not as a coroutine"}) == (
        '"""Runs in threads, not as a coroutine."""\n'
    )
    with pytest.raises(NotTwinsError, match="does not have this phrase once: 'in a task'"):
        made(source, **{"in a task": "in a thread"})


@pytest.mark.parametrize(
    "line",
    [
        "import asyncio\n\nloop = asyncio.get_running_loop()",
        "from asyncio import current_task\n\nmine = current_task()",
        '"""Call it with a coroutine function."""',
        "x = 1  # until the caller is cancelled",
        "kind = aio",
        "x: CoroutineType",
    ],
)
def test_what_has_no_counterpart(line: str) -> None:
    """Any other mention of asyncio is an error that quotes it."""
    with pytest.raises(NotTwinsError, match=r"aio_thing\.py has no blocking counterpart for"):
        made(f"{line}\n")

"""Commands on the pages exist, and have the arguments that the pages give them."""

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from relevo_cli.main import parser

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    page
    for pattern in ("*.md", "docs/**/*.md", "deploy/**/*.md")
    for page in ROOT.glob(pattern)
    if page.name != "CHANGELOG.md"  # it tells what was
)
SAMPLES = {
    "COMMAND": "status",
    "KEY": "conversation:acme:c-1",
    "KEY...": "conversation:acme:c-1",
    "SHELL": "bash",
}
"""What stands for a word that the reader replaces, if not every word will do."""
_CODE = re.compile(r"```sh\n(.*?)```|`([^`\n]+)`", re.DOTALL)
_MAKE = re.compile(r"\bmake ([a-z][a-z-]*)")
_INCLUDED = re.compile(r'^--8<-- "([^"]+\.sh)"$', re.MULTILINE)
_RELEVO = re.compile(r"(?:^|\| )relevo ([^|>\n]+)", re.MULTILINE)


class Code(NamedTuple):
    """Code of a page."""

    text: str
    is_inline: bool


def code() -> Iterator[Code]:
    """The shell blocks and the inline code of all pages."""
    for page in PAGES:
        text = _INCLUDED.sub(_content, page.read_text("utf-8"))
        for block, span in _CODE.findall(text):
            yield Code(block or span, is_inline=bool(span))


def _content(included: re.Match[str]) -> str:
    """A script that a page includes."""
    return (ROOT / included[1]).read_text("utf-8")


def commands() -> Iterator[str]:
    """The arguments of each `relevo …`. Inline, a command may be named without its arguments."""
    for text, is_inline in code():
        for found in _RELEVO.findall(text):
            words = shlex.split(found, comments=True)
            yield shlex.join([*words, "--help"] if is_inline and len(words) == 1 else words)


COMMANDS = sorted(set(commands()))


def test_make_has_what_pages_tell_to_make() -> None:
    """Each `make …` on a page is a target of the Makefile."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    told = {target for each in code() for target in _MAKE.findall(each.text)}
    assert {"demo", "test"} <= told
    assert told - targets == set()


def test_make_has_one_meaning_for_each_variable() -> None:
    """A variable of the Makefile is given once: a second `?=` of its name would do nothing."""
    text = (ROOT / "Makefile").read_text("utf-8")
    names = re.findall(r"^([A-Z_]+) *(?:[:?+]?=)", text, re.MULTILINE)
    assert "CHART" in names
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("command", COMMANDS)
def test_relevo_can_parse_what_pages_tell_to_run(command: str) -> None:
    """Each `relevo …` on a page is one that `relevo` knows, with arguments that it has."""
    words = [SAMPLES.get(word, word) for word in shlex.split(command)]
    try:
        assert parser().parse_args(words).run
    except SystemExit as end:
        assert end.code == 0  # noqa: PT017 - `--help` and `--version` end so too


def test_there_is_one_way_to_install() -> None:
    """Relevo is installed from a checkout, as README.md says, with extras that it has.

    Its requirements may come before it, from a file with hashes.
    """
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"][
        "optional-dependencies"
    ]
    told = {
        command
        for page in PAGES
        for command in re.findall(r"pip install ([^`#\n]*[^`#\n ])", page.read_text("utf-8"))
    }
    assert {".", "'.[server]'"} <= told
    files = (each.name for each in (ROOT / "requirements").glob("*.txt"))
    assert told <= {
        *(".", "--no-deps ."),
        *(f"'.[{extra}]'" for extra in extras),
        *(f"--require-hashes --no-deps -r requirements/{each}" for each in files),
    }


def test_there_are_commands() -> None:
    """The test above finds commands in blocks, behind pipes, and in sentences."""
    assert {
        "status",
        "put agent_config:acme:support --mask llm_config.model",
        "invalidate --tenant TENANT --scope SCOPE",
        "top --help",
        "changes acme",  # in a script
    } <= set(COMMANDS)

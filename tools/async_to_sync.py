"""Generate the blocking modules from the asyncio ones.

    python tools/async_to_sync.py [--check]

Writes each module of `twins.TWINS`; with `--check` it writes nothing and shows the differences.
Edits are made at the places of tokens, so comments and formatting stay:

- `async` and `await` are removed; `Awaitable[X]` and `Coroutine[…, X]` become `X`.
- `AsyncThing` becomes `Thing`, `aio_thing` becomes `thing`, `grpc.aio` becomes `grpc`; a module
  `aio` or `aio_thing` that is imported becomes `blocking` or `blocking_thing`.
- In docstrings, comments and other strings names change alike, and `async with` becomes `with`.
- Text about one kind only is replaced by its phrase in `twins.TWINS`.

Then ruff removes unused imports, and formats. A line that still mentions asyncio after all this
is an error: a difference of the kinds belongs in a `compat` module.
"""

import ast
import difflib
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from twins import NAMES, TWINS, Twin

ROOT = Path(__file__).parents[1]
COMMAND = "make twins"

_NAME = re.compile(r"^(_?)(?:Async(?=[A-Z])|aio_)")
_MODULE = re.compile(r"^(_?)aio(?=_|$)")
_WORDS = re.compile(
    r"(?:\b([Aa])n (`?))?(?<!\w)(_?(?:Async[A-Z]\w*|aio_\w+)|__a\w+__|async with\b)"
)
_IS_ABOUT_ASYNCIO = re.compile(
    r"asyncio|\basync\b|\bawait|coroutine|event loop|\baio\b|\bcancel|Async[A-Z]|\baio_", re.I
)
_STRINGS = {tokenize.STRING, tokenize.COMMENT, getattr(tokenize, "FSTRING_MIDDLE", -1)}
_BEFORE_A_STATEMENT = {
    *(tokenize.NEWLINE, tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.COMMENT),
    tokenize.ENCODING,
}


class NotTwinsError(Exception):
    """A blocking module cannot be generated from its source."""


class _Edit(NamedTuple):
    """A replacement of the source from `start` to `end`, offsets in characters, by `text`."""

    start: int
    end: int
    text: str


def blocking_source(source: str, twin: Twin) -> str:
    """The text of the blocking module for an asyncio source.

    Raises NotTwinsError if a phrase is missing, or a line still mentions asyncio.
    """
    phrases = list(_edits_of_phrases(source, twin))
    edits = [
        edit
        for edit in (*_edits_of_tokens(source), *_edits_of_types(source))
        if not any(phrase.start <= edit.start < phrase.end for phrase in phrases)
    ]
    own = _edited(source, [*edits, *(edit._replace(text="") for edit in phrases)])
    for line in _without_imports(own):
        if _IS_ABOUT_ASYNCIO.search(line):
            raise NotTwinsError(f"{twin.source} has no blocking counterpart for {line.strip()!r}")
    header = f"# Generated from {twin.source.name} by `{COMMAND}`: edit that file, not this one.\n"
    text = _tidied(header + _edited(source, [*edits, *phrases]), twin.target.as_posix())
    for node in _imports(text):  # ruff has left those that are used
        if _IS_ABOUT_ASYNCIO.search(line := ast.unparse(node)):
            raise NotTwinsError(f"{twin.source} has no blocking counterpart for {line!r}")
    return text


def _without_imports(text: str) -> list[str]:
    """The lines of a module except its imports, from which ruff removes the unused ones."""
    imports = {
        number
        for node in _imports(text)
        for number in range(node.lineno, (node.end_lineno or 0) + 1)
    }
    return [line for i, line in enumerate(text.splitlines(), start=1) if i not in imports]


def _imports(text: str) -> list[ast.Import | ast.ImportFrom]:
    nodes = ast.walk(ast.parse(text))
    return [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]


def _edited(source: str, edits: Iterable[_Edit]) -> str:
    changes = [edit for edit in edits if source[edit.start : edit.end] != edit.text]
    for edit in sorted(changes, reverse=True):
        source = source[: edit.start] + edit.text + source[edit.end :]
    return source


def renamed(name: str) -> str:
    """The blocking module's name for a name of the asyncio module."""
    return NAMES.get(name) or _NAME.sub(r"\1", name)


def _edits_of_phrases(source: str, twin: Twin) -> Iterator[_Edit]:
    for phrase, instead in twin.phrases.items():
        if source.count(phrase) != 1:
            raise NotTwinsError(f"{twin.source} does not have this phrase once: {phrase!r}")
        start = source.index(phrase)
        yield _Edit(start, start + len(phrase), instead)


def _edits_of_tokens(source: str) -> Iterator[_Edit]:
    """Edits of names, of strings and comments, and of `async` and `await`."""
    starts = _starts_of_lines(source)
    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    is_module = False  # between a statement's `from` and `import`
    for i, token in enumerate(tokens):
        start, end = (starts[line - 1] + column for line, column in (token.start, token.end))
        if token.type in _STRINGS:
            yield from _edits_of_words(source[start:end], start)
        if token.type != tokenize.NAME:
            continue
        begins = i == 0 or tokens[i - 1].type in _BEFORE_A_STATEMENT
        is_module = token.string != "import" and (is_module or (token.string == "from" and begins))
        if token.string in ("async", "await"):
            line, column = tokens[i + 1].start
            yield _Edit(start, starts[line - 1] + column, "")
        elif token.string == "aio" and [each.string for each in tokens[i - 2 : i]] == ["grpc", "."]:
            yield _Edit(start - 1, end, "")
        elif is_module:
            yield _Edit(start, end, _MODULE.sub(r"\1blocking", token.string))
        else:
            yield _Edit(start, end, renamed(token.string))


def _edits_of_words(text: str, offset: int) -> Iterator[_Edit]:
    """Edits of the names in a string or comment that begins at `offset`."""
    for found in _WORDS.finditer(text):
        article, quote, name = found.groups()
        new = "with" if name == "async with" else renamed(name)
        if article:
            new = f"{article}{'n' if new[0] in 'AEIOaeio' else ''} {quote}{new}"
        yield _Edit(offset + found.start(), offset + found.end(), new)


def _edits_of_types(source: str) -> Iterator[_Edit]:
    """Edits of types: an awaitable becomes its result."""
    starts = _starts_of_lines(source)
    lines = source.splitlines(keepends=True)

    def offset(line: int, column: int) -> int:  # ast counts the bytes of UTF-8
        return starts[line - 1] + len(lines[line - 1].encode()[:column].decode())

    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Subscript) or not isinstance(node.value, ast.Name):
            continue
        parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        last = parts[-1]
        end_of_last = offset(last.end_lineno or 0, last.end_col_offset or 0)
        if node.value.id in ("Awaitable", "Coroutine"):
            begin = offset(node.lineno, node.col_offset)
            yield _Edit(begin, offset(last.lineno, last.col_offset), "")
            yield _Edit(end_of_last, offset(node.end_lineno or 0, node.end_col_offset or 0), "")
        elif node.value.id == "AsyncGenerator":  # Generator takes the type of the return value, too
            yield _Edit(end_of_last, end_of_last, ", None")


def _starts_of_lines(source: str) -> list[int]:
    return [0, *accumulate(len(line) for line in source.splitlines(keepends=True))]


def _tidied(text: str, path: str) -> str:
    """The module without unused imports and repeated members of unions, formatted."""
    ruff = [sys.executable, "-m", "ruff"]
    for command in (
        [*ruff, "check", "--quiet", "--fix", "--select", "F401,I001,PYI016"],
        [*ruff, "format", "--quiet"],
    ):
        done = subprocess.run(
            [*command, "--stdin-filename", path, "-"],
            cwd=ROOT,
            input=text,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            check=True,
        )
        text = done.stdout
    return text


def main() -> int:
    """Write the modules, or with `--check` show the differences. The exit code: their number."""
    check = sys.argv[1:] == ["--check"]
    if sys.argv[1:] and not check:
        sys.exit(__doc__)
    differing = 0
    for twin in TWINS:
        generated = blocking_source((ROOT / twin.source).read_text("utf-8"), twin)
        path = ROOT / twin.target
        committed = path.read_text("utf-8") if path.exists() else ""
        if generated == committed:
            continue
        differing += 1
        if check:
            diff = difflib.unified_diff(
                committed.splitlines(),
                generated.splitlines(),
                f"{twin.target}",
                "as generated",
                lineterm="",
            )
            print(
                *diff,
                f"{twin.target} is not what `{COMMAND}` generates from {twin.source}",
                sep="\n",
            )
        else:
            path.write_text(generated, "utf-8")
    return differing if check else 0


if __name__ == "__main__":
    sys.exit(main())

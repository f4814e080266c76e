"""The Python blocks of documentation pages, which tests run."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

DOCS = Path(__file__).parents[2] / "docs"


class Name(NamedTuple):
    """The place of a block on its page."""

    heading: str
    """The heading above it, without its number."""
    label: str = ""
    """The last all-bold line between that heading and the block."""


class Page:
    """One page with its Python blocks by their places."""

    def __init__(self, name: str) -> None:
        self._path = DOCS / name
        self.blocks: dict[Name, str] = {}
        """The code of each block, padded so that its line numbers are those of the page."""
        self._read(self._path.read_text("utf-8").splitlines())

    def run(self, *names: Name, **given: Any) -> SimpleNamespace:
        """Run blocks in order in one namespace, which starts with `given`, and return it."""
        namespace: dict[str, Any] = {"__name__": "page", **given}
        for name in names:
            exec(compile(self.blocks[name], self._path, "exec"), namespace)  # noqa: S102 - ours
        return SimpleNamespace(**namespace)

    def _read(self, lines: list[str]) -> None:
        heading = label = ""
        begin: int | None = None
        fenced = False
        for number, line in enumerate(lines):
            if line.startswith("```"):
                if begin is not None:
                    self._add(Name(heading, label), "\n" * begin, lines[begin:number])
                begin = number + 1 if line == "```python" else None
                fenced = not fenced
            elif fenced:
                continue
            elif line.startswith("#"):
                heading, label = line.lstrip("#").strip(), ""
                heading = heading.lstrip("0123456789. ")
            elif line.startswith("**") and line.endswith("**"):
                label = line.strip("*")

    def _add(self, name: Name, above: str, lines: list[str]) -> None:
        assert name not in self.blocks, f"{self._path.name} has two blocks {name}"
        self.blocks[name] = above + "\n".join(lines) + "\n"

"""The Python that stands on pages of the documentation, to be run by tests."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

DOCS = Path(__file__).parents[2] / "docs"


class Name(NamedTuple):
    """Where a block stands on its page."""

    heading: str
    """The heading that is above it, without its number."""
    label: str = ""
    """The last line above it that is all bold, below that heading."""


class Page:
    """One page: its blocks of Python, by where they stand."""

    def __init__(self, name: str) -> None:
        self._path = DOCS / name
        self.blocks: dict[Name, str] = {}
        """The code. Its lines have the numbers that they have on the page."""
        self._read(self._path.read_text("utf-8").splitlines())

    def run(self, *names: Name, **given: Any) -> SimpleNamespace:
        """Run blocks one after the other in one namespace, which has what is given: all in it."""
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

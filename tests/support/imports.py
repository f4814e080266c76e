"""The imports between modules, read from the source, for rules that `lint-imports` cannot say."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]

Graph = Mapping[str, set[str]]


def imports_of(folder: str) -> dict[str, set[str]]:
    """The imports of each module of a folder, with the imported names, at any place in it."""
    root = ROOT / folder
    return {
        ".".join(path.relative_to(root).with_suffix("").parts): set(_imports(path))
        for path in sorted(root.rglob("*.py"))
    }


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(imports: Graph) -> dict[str, set[str]]:
    """The imports between the given modules only; a package stands for its `__init__`."""
    names = {name.removesuffix(".__init__"): name for name in imports}

    def module_of(name: str) -> str | None:
        return names.get(name) or names.get(name.rpartition(".")[0])

    return {
        importing: {module for name in found if (module := module_of(name))}
        for importing, found in imports.items()
    }


def reachable(graph: Graph, *start: str) -> set[str]:
    """These modules, and all that they import, directly or indirectly."""
    found: set[str] = set()
    waiting = list(start)
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            waiting += graph[module]
    return found

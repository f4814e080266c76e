"""Prints the figures as a table, and writes them as JSON."""

import json
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import psutil
from rich import box
from rich.console import Console
from rich.table import Table
from support.redis.process import describe

from benchmarks.cores import Cores
from benchmarks.figures import Figure

_LIBRARIES = ("grpcio", "protobuf", "redis", "hiredis")


def print_machine(console: Console, cores: Cores) -> None:
    """Print the machine and the versions of the libraries."""
    libraries = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    console.print(
        f"{psutil.cpu_count()} cores, Python {platform.python_version()}, {libraries}\n"
        f"{describe()}\n{cores}",
        highlight=False,
    )


def print_figures(console: Console, figures: Sequence[Figure]) -> None:
    """Print the table, with a section for each contender and load."""
    table = Table(
        title="medians over all rounds; a ratio is the median of the rounds' own ratios",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        show_edge=False,
    )
    table.add_column("name", no_wrap=True)
    for heading in ("value", "spread", "baseline", "unit", "ratio", "goal"):
        table.add_column(heading, justify="right", no_wrap=True)
    for i, figure in enumerate(figures):
        following = figures[i + 1 : i + 2]
        last = not following or _group(figure) != _group(following[0])
        table.add_row(*_cells(figure), end_section=last)
    console.print(table)


def write_json(path: Path, figures: Sequence[Figure]) -> None:
    """Write a JSON object for each figure."""
    objects = [figure.to_json() for figure in figures]
    path.write_text(json.dumps(objects, indent=2, ensure_ascii=False) + "\n", "utf-8")


def _group(figure: Figure) -> str:
    return figure.name.rpartition("/")[0]


def _cells(figure: Figure) -> tuple[str, ...]:
    mark = {None: "", True: "[green]✓", False: "[red]✗"}[figure.is_met]
    return (
        figure.name,
        f"{'not within ' if figure.is_missed else ''}{_number(figure.value)}",
        "" if figure.is_missed else f"±{figure.spread:.0%}",
        "" if figure.baseline is None else _number(figure.baseline),
        figure.unit,
        "" if figure.ratio is None else f"{figure.ratio:.2f}",
        "" if figure.goal is None else f"{mark} {figure.goal}",
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:,.3g}"

"""How commands print: JSON for programs, tables for people."""

import argparse
import json
from collections.abc import Callable, Iterable
from typing import Literal

from relevo_cli.documents import Json

Format = Literal["json", "table"]


def add_option(parser: argparse.ArgumentParser, default: Format) -> None:
    """Add `--output`."""
    parser.add_argument(
        "--output", choices=("json", "table"), default=default, help="default: %(default)s"
    )


def print_answer(options: argparse.Namespace, document: Json, lines: Iterable[str]) -> None:
    """Print an answer as `--output` says: as one JSON document, or as lines."""
    if options.output == "json":
        print(json.dumps(document, indent=2, ensure_ascii=False), flush=True)
    else:
        print_lines(lines)


def print_event(
    options: argparse.Namespace, document: Callable[[], Json], lines: Iterable[str]
) -> None:
    """Print one of a stream of answers as `--output` says: as a JSON object, or as lines."""
    if options.output == "json":
        print_item(document())
    else:
        print_lines(lines)


def print_item(document: Json) -> None:
    """Print one of a stream of JSON objects, on one line and at once."""
    print(json.dumps(document, ensure_ascii=False), flush=True)


def print_lines(lines: Iterable[str]) -> None:
    """Print lines at once."""
    print("\n".join(lines), flush=True)

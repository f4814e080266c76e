"""How commands print: JSON for programs, tables for people."""

import argparse
import json
from collections.abc import Iterable
from typing import Literal

from relevo_cli.documents import Json

Format = Literal["json", "table"]


def add_option(parser: argparse.ArgumentParser, default: Format) -> None:
    """Add `--output`."""
    parser.add_argument(
        "--output", choices=("json", "table"), default=default, help="default: %(default)s"
    )


def print_document(document: Json) -> None:
    """Print one JSON document."""
    print(json.dumps(document, indent=2, ensure_ascii=False))


def print_item(document: Json) -> None:
    """Print one of a stream of JSON objects, on one line and at once."""
    print(json.dumps(document, ensure_ascii=False), flush=True)


def print_lines(lines: Iterable[str]) -> None:
    """Print lines at once."""
    print("\n".join(lines), flush=True)

"""`relevo demo`: the main job, to be watched."""

import argparse
import sys
from pathlib import Path
from typing import Any


def add(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "demo",
        help="watch a chain of four services work with one context",
        description="Start a store and four gRPC services, run conversations through them, and "
        "show what each service saw.",
    )
    parser.add_argument(
        "--store",
        default="memory://",
        help="where the store keeps its entries (default: memory://)",
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write what each service saw to a file, too"
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    try:
        from relevo_demo.main import run  # noqa: PLC0415 - needs what [server] alone has not
    except ModuleNotFoundError as error:
        print(f"relevo demo: {error}; install 'relevo[demo]'", file=sys.stderr)
        return 1
    return run(store=options.store, record=options.json)

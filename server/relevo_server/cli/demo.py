"""`relevo demo`: the main job, to be watched."""

import argparse
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
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from relevo_demo.main import run  # noqa: PLC0415 - needs the extra `demo`

    return run(store=options.store)

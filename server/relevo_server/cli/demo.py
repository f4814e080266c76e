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
    parser.add_argument(
        "--platform",
        action="store_true",
        help="instead, measure a platform of six services, queues and a WebSocket: without "
        "Relevo, with JSON in Redis, and with Relevo; it starts Redis servers of its own",
    )
    parser.add_argument(
        "--chart", type=Path, metavar="FILE", help="with --platform: draw a chart, as PNG"
    )
    parser.add_argument(
        "--laps",
        type=_positive,
        default=20,
        metavar="N",
        help="with --platform: how often the modes take turns (default: 20)",
    )
    parser.set_defaults(run=_run)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def _run(options: argparse.Namespace) -> int:
    extra = "platform" if options.platform else "demo"
    # These need what [server] alone has not.
    try:
        if options.platform:
            from nooble.measuring import run as measure  # noqa: PLC0415

            return measure(laps=options.laps, record=options.json, chart=options.chart)
        from relevo_demo.main import run  # noqa: PLC0415
    except ModuleNotFoundError as error:
        print(f"relevo demo: {error}; install 'relevo[{extra}]'", file=sys.stderr)
        return 1
    return run(store=options.store, record=options.json)

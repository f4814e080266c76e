"""`relevo demo`: shows a chain of services that work with one context."""

import argparse
import os
import sys
from pathlib import Path

from relevo_server.cli.extras import needing

from relevo_cli import numbers


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `relevo demo`."""
    parser.description = (
        "Start a store and four gRPC services, run conversations through them, and show what each "
        "service saw."
    )
    parser.add_argument(
        "--store",
        help="URL of the store's backend (default: memory://)",
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="also write what each service saw to a file"
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
        type=numbers.whole(1),
        metavar="N",
        help="with --platform: how often the modes take turns (default: 20)",
    )
    parser.add_argument(
        "--turns",
        type=numbers.whole(1),
        metavar="N",
        help="with --platform: turns of each long conversation, each time (default: 10)",
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    _check(options)
    _find_examples()
    if options.platform:
        with needing("platform"):
            from nooble.measuring import run as measure  # noqa: PLC0415
        length = {name: value for name in ("laps", "turns") if (value := vars(options)[name])}
        return measure(**length, record=options.json, chart=options.chart)
    with needing("demo"):
        from relevo_demo.main import run  # noqa: PLC0415
    return run(store=options.store or "memory://", record=options.json)


def _find_examples() -> None:
    """Make the examples importable for this process and its child processes.

    A wheel has them in a folder of this package, so that they claim no top-level names; a
    checkout has them on the path already.
    """
    folder = str(Path(__file__).parent / "_examples")
    if Path(folder).is_dir():
        sys.path.append(folder)
        path = filter(None, [os.environ.get("PYTHONPATH"), folder])
        os.environ["PYTHONPATH"] = os.pathsep.join(path)


def _check(options: argparse.Namespace) -> None:
    others = ("store",) if options.platform else ("chart", "laps", "turns")
    for name in others:
        if vars(options)[name] is not None:
            relation = "not with" if options.platform else "only with"
            options.parser.error(f"argument --{name}: {relation} --platform")

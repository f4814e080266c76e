"""`relevo demo`: shows a chain of services that work with one context."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from relevo_server.cli.extras import needing

from relevo_cli import numbers

_OF_RUN = ("chart", "laps", "turns", "replicas", "strip-metadata")
"""The options of the measured run, which needs --platform."""
_OF_PAGE = ("port", "open")
"""The options of the page, which needs --platform and --serve."""
_OF_PLATFORM = ("serve", *_OF_RUN)
"""The options that need --platform."""


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `relevo demo`."""
    parser.description = (
        "Start a store and four gRPC services, run a conversation through them, change its agent, "
        "and show what each service worked with."
    )
    parser.add_argument(
        "--all",
        action="store_true",
        dest="everything",
        help="all conversations of the script, with every setting and the entry that it is from",
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
        "--chart", type=Path, metavar="FILE", help="with --platform: draw a chart, as PNG or SVG"
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
    parser.add_argument(
        "--replicas",
        type=numbers.whole(1),
        metavar="N",
        help="with --platform: processes of each service and of the store, but for agent "
        "management (default: two of each worker, one of everything else)",
    )
    parser.add_argument(
        "--strip-metadata",
        action="store_true",
        default=None,
        help="with --platform: gRPC calls go through a proxy that passes on only the metadata "
        "that it knows",
    )
    parser.add_argument(
        "--serve",
        action="store_true",
        default=None,
        help="with --platform: measure nothing, but keep the platform up and serve a page: chat "
        "with an agent, see each turn's way, change settings, kill and restart processes",
    )
    parser.add_argument(
        "--port",
        type=numbers.whole(0),
        metavar="N",
        help="with --serve: the page's port on this machine, 0 for a free one (default: 8391)",
    )
    parser.add_argument(
        "--open",
        action="store_true",
        default=None,
        help="with --serve: open the page in the browser",
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    _check(options)
    _find_examples()
    if options.serve:
        with needing("platform"):
            from nooble.page.serve import PORT  # noqa: PLC0415
            from nooble.page.serve import run as serve  # noqa: PLC0415
        return serve(port=PORT if options.port is None else options.port, opens=bool(options.open))
    if options.platform:
        with needing("platform"):
            from nooble.measuring import run as measure  # noqa: PLC0415
        length = {name: value for name in ("laps", "turns") if (value := vars(options)[name])}
        return measure(
            **length,
            replicas=options.replicas,
            strips_metadata=bool(options.strip_metadata),
            record=options.json,
            chart=options.chart,
        )
    with needing("demo"):
        from relevo_demo.main import run  # noqa: PLC0415
    return run(
        store=options.store or "memory://", record=options.json, everything=options.everything
    )


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
    if options.platform and options.everything:
        options.parser.error("argument --all: not with --platform")
    others = ("store",) if options.platform else _OF_PLATFORM
    _refuse(options, others, "not with" if options.platform else "only with", "--platform")
    if options.serve:
        _refuse(options, ("json", *_OF_RUN), "not with", "--serve")
    else:
        _refuse(options, _OF_PAGE, "only with", "--serve")


def _refuse(options: argparse.Namespace, names: Sequence[str], relation: str, other: str) -> None:
    """End with an error if one of these options is given."""
    for name in names:
        if vars(options)[name.replace("-", "_")] is not None:
            options.parser.error(f"argument --{name}: {relation} {other}")

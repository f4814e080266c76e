"""`relevo plan`: says what a platform needs, which limit comes first, and what to turn then."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from relevo_plan.cells import needed
from relevo_plan.constants import measured
from relevo_plan.fleet import Simulated, simulated
from relevo_plan.limits import Limit, limits
from relevo_plan.sizing import Sizing, size
from relevo_plan.workload import PRESETS, Workload

from relevo_cli import numbers, output, plan_lines
from relevo_cli.documents import Json
from relevo_cli.failures import FAILED, OK

_Type = Callable[[str], Any]


@dataclass(frozen=True)
class _Option:
    """A flag of the workload."""

    field: str
    metavar: str
    type: _Type
    help: str


_COUNT, _RATE = numbers.whole(1), numbers.from_zero
_OPTIONS = (
    _Option("conversations", "N", _COUNT, "conversations that go on at the same time"),
    _Option("turns_per_second", "X", _RATE, "turns of all conversations together"),
    _Option("turns_per_conversation", "X", numbers.from_one, "turns of one conversation"),
    _Option("services", "N", _COUNT, "services that take part in a turn"),
    _Option("processes_per_service", "N", _COUNT, "processes of each service"),
    _Option("resolvers", "N", _COUNT, "services that ask for live contexts by key; the others "
            "get the turn's snapshot"),
    _Option("layers", "N", numbers.whole(0, 16), "configurations that a context includes"),
    _Option("configurations", "N", _COUNT, "configurations of all tenants"),
    _Option("entry_bytes", "N", _COUNT, "serialized size of one entry's context"),
    _Option("changes_per_second", "X", _RATE, "changes of configurations"),
    _Option("puts_per_turn", "X", _RATE, "writes of the conversation's entry in a turn"),
    _Option("configuration_ttl", "S", numbers.seconds, "time to live of a configuration, which "
            "is put anew in the last fifth of it"),
    _Option("snapshot_ttl", "S", numbers.seconds, "time to live of snapshots"),
    _Option("cores", "N", _COUNT, "cores of a server: it runs a worker on each"),
    _Option("utilisation", "X", numbers.share, "share of a core that may be busy"),
    _Option("redis_bytes", "N", _COUNT, "memory of one Redis node"),
    _Option("link_bits", "X", numbers.positive, "bits a second of a server's network"),
)  # fmt: skip


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `relevo plan`."""
    parser.description = (
        "Calculate what a platform needs at its busiest time: servers, cores, Redis, connections, "
        "memory and network; which limit comes first, and what to turn then. It asks no server. "
        "docs/capacity.md has the constants, and how they were measured."
    )
    parser.epilog = "Exit codes: 0 it is possible, 1 it is not, 2 wrong usage."
    parser.add_argument(
        "--preset",
        choices=PRESETS,
        default=next(iter(PRESETS)),
        help="a platform of so many conversations, which the other flags change "
        "(default: %(default)s)",
    )
    for each in _OPTIONS:
        flag = f"--{each.field.replace('_', '-')}"
        parser.add_argument(flag, type=each.type, metavar=each.metavar, help=each.help)
    parser.add_argument(
        "--sticky",
        action="store_true",
        help="all turns of a conversation begin in the same process; else in any",
    )
    parser.add_argument(
        "--no-riders", action="store_true", help="snapshots do not travel with calls"
    )
    parser.add_argument(
        "--simulate",
        action="store_true",
        help="also play this load on a model of the servers: delays, and the loss of a server",
    )
    parser.add_argument(
        "--constants", action="store_true", help="print the constants instead, and their sources"
    )
    output.add_option(parser, "table")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    if options.constants:
        document: Json = [asdict(each) for each in measured().constants]
        output.print_answer(options, document, plan_lines.of_constants(measured()))
        return OK
    workload = _workload(options)
    costs = measured().costs()
    sizing = size(workload, costs)
    found = limits(sizing, costs)
    played = simulated(sizing, costs) if options.simulate and sizing.is_possible else None
    parts = needed(workload, costs)
    lines = plan_lines.of_plan(sizing, found, parts, played)
    output.print_answer(options, {**_document(sizing, found, played), "cells": parts}, lines)
    return OK if sizing.is_possible else FAILED


def _workload(options: argparse.Namespace) -> Workload:
    given = {
        each.field: value
        for each in _OPTIONS
        if (value := getattr(options, each.field)) is not None
    }
    changed = replace(PRESETS[options.preset], **given)
    if changed.resolvers > changed.services:
        options.parser.error("argument --resolvers: must be at most --services")
    return replace(
        changed,
        is_sticky=options.sticky,
        has_riders=not options.no_riders,
    )


def _document(sizing: Sizing, found: Sequence[Limit], played: Simulated | None) -> dict[str, Json]:
    plan: dict[str, Any] = asdict(sizing)
    limiting: list[Json] = [{**asdict(each), "share": each.share} for each in found]
    document: dict[str, Json] = {
        "workload": plan.pop("workload"),
        "demand": plan.pop("demand"),
        "needs": plan,
        "limits": limiting,
    }
    if played:
        document["simulated"] = asdict(played)
    return document

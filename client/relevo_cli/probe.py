"""`relevo probe`: keeps checking what near caches and the store promise, in production."""

import argparse
import logging
import os
import shutil
import signal
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType

from opentelemetry.metrics import MeterProvider
from relevo_client import RelevoError
from relevo_look import units
from relevo_probe.metrics import Metrics
from relevo_probe.partitions import MOST, tenants_of
from relevo_probe.probe import Options, Probe
from relevo_probe.rules import Violation
from relevo_probe.summary import Summary, milliseconds
from relevo_probe.tenants import NoTenantError
from relevo_server.addresses import metrics_address
from relevo_server.cli.extras import needing
from relevo_server.telemetry.wanted import Wanted, wanted

from relevo_cli import connection, numbers, output, progress, terminal
from relevo_cli.failures import FAILED, OK, USAGE, UsageError, fail
from relevo_cli.terminal import printable

_EVERY, _EVERY_LINE = 1.0, 60.0
"""Seconds between two lines of progress: on a terminal, and elsewhere if there is no end."""


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `relevo probe [TARGET...]`."""
    connection.add_options(parser)
    parser.description = (
        "Write canaries to every partition of a store, read them through near caches of its own "
        "and from the store, and check every answer, until it is interrupted or for a time."
    )
    parser.epilog = (
        "Exit codes: 0 no violation, 1 a promise was broken, 2 wrong usage or a tenant that may "
        "not be used, 3 nothing could be checked. RELEVO_TOKEN is sent as the bearer token. "
        "OTEL_EXPORTER_OTLP_ENDPOINT and its like export metrics."
    )
    parser.set_defaults(timeout=2.0, run=_run)
    parser.add_argument(
        "targets", nargs="*", metavar="TARGET", help="servers of one store, instead of --target"
    )
    parser.add_argument(
        "--for", dest="seconds", type=numbers.duration, metavar="TIME", help="as 60s, 10m or 1h"
    )
    parser.add_argument(
        "--until-violation", action="store_true", help="stop at the first violation"
    )
    parser.add_argument(
        "--rate",
        type=numbers.positive,
        default=Options.rate,
        help="writes a second to each partition at most (default: %(default)s)",
    )
    parser.add_argument(
        "--max-rate",
        type=numbers.positive,
        default=Options.max_rate,
        metavar="RATE",
        help="writes a second to all together at most (default: %(default)s)",
    )
    parser.add_argument(
        "--max-staleness",
        type=numbers.seconds,
        default=Options.max_staleness,
        metavar="SECONDS",
        help="the bound of the near caches (default: %(default)s)",
    )
    parser.add_argument(
        "--tenant",
        default=Options.tenant,
        metavar="PREFIX",
        help="the tenants are PREFIX-0, PREFIX-1 and so on (default: %(default)s)",
    )
    parser.add_argument(
        "--partitions",
        type=numbers.whole(1, MOST),
        metavar="N",
        help="the store's number of partitions (default: the probe finds it out)",
    )
    parser.add_argument(
        "--list-tenants",
        action="store_true",
        help="with --partitions: print the tenants that the probe needs, and do nothing else",
    )
    parser.add_argument(
        "--metrics-listen",
        type=_metrics_address,
        metavar="ADDRESS",
        help="serve metrics for Prometheus at this address, as 127.0.0.1:9464 or :9464",
    )
    output.add_option(parser, "table")


def _run(options: argparse.Namespace) -> int:
    if options.list_tenants:
        partitions: int | None = options.partitions
        if partitions is None:
            return fail(USAGE, "--list-tenants needs --partitions")
        output.print_lines(tenants_of(options.tenant, partitions).values())
        return OK
    # The probe's event loop stands still on purpose: what clients say of that is no news.
    logging.getLogger("relevo_client").setLevel(logging.CRITICAL)
    try:
        with _meters(wanted(os.environ, options.metrics_listen)) as provider:
            summary = _probe(options, provider)
    except (NoTenantError, ValueError, OSError) as error:
        return fail(USAGE, str(error))
    except RelevoError as error:
        return fail(FAILED, f"{error.reason}: {error}")
    output.print_answer(options, summary.document(), map(printable, summary.lines()))
    return summary.exit_code


def _probe(options: argparse.Namespace, provider: MeterProvider | None) -> Summary:
    if not all(options.targets):
        raise UsageError("TARGET: must be an address")
    shown = _Progress(options.seconds, is_silent=options.output == "json")
    targets: list[str] = options.targets or [connection.target_of(options)]
    probe = Probe(
        Options(
            targets=targets,
            **connection.client_arguments(options, *targets),
            timeout=options.timeout,
            tenant=options.tenant,
            partitions=options.partitions,
            rate=options.rate,
            max_rate=options.max_rate,
            max_staleness=options.max_staleness,
        ),
        metrics=Metrics(provider),
        on_violation=shown.violated,
    )
    with _stopped_by_signals(probe.stop):
        summary = probe.run(
            options.seconds,
            stop_at_violation=options.until_violation,
            progress=shown.show,
            every=_EVERY,
        )
    shown.end()
    return summary


class _Progress:
    """The line on stderr that says how the run does, and the first violations as they are found."""

    def __init__(self, seconds: float | None, *, is_silent: bool) -> None:
        self._seconds = seconds
        self._is_terminal = terminal.is_live(sys.stderr)
        self._is_silent = is_silent and not self._is_terminal
        self._due, self._every = (
            (_EVERY_LINE, _EVERY_LINE) if seconds is None else (progress.FIRST, progress.NEXT)
        )
        self._checks: set[str] = set()

    def show(self, summary: Summary) -> None:
        """Show the counts so far."""
        if self._is_silent:
            return
        if self._is_terminal:
            line = terminal.cut(self._line(summary), shutil.get_terminal_size().columns)
            self._write(f"\r\x1b[K{line}")
        elif summary.seconds >= self._due:
            self._due = summary.seconds + self._every
            self._write(f"{self._line(summary)}\n")

    def violated(self, violation: Violation) -> None:
        """Show the first violation of each promise."""
        if violation.check not in self._checks:
            self._checks.add(violation.check)
            text = f"{violation.check} ({violation.reader}) {violation.key}: {violation.text}"
            begin = "\r\x1b[K" if self._is_terminal else ""
            self._write(f"{begin}relevo probe: VIOLATION: {printable(text)}\n")

    def end(self) -> None:
        """Remove the line."""
        if self._is_terminal:
            self._write("\r\x1b[K")

    def _line(self, summary: Summary) -> str:
        of = "" if self._seconds is None else f" of {units.duration(self._seconds)}"
        return (
            f"{units.duration(round(summary.seconds))}{of}: {summary.partitions} partitions, "
            f"{summary.writes} writes, {sum(summary.checks.values())} checks, "
            f"{sum(summary.violations.values())} violations, "
            f"staleness p50 {milliseconds(summary.staleness.quantile(0.5))} "
            f"p99 {milliseconds(summary.staleness.quantile(0.99))}, "
            f"{sum(summary.failures.values())} failed calls"
        )

    @staticmethod
    def _write(text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()


@contextmanager
def _meters(wants: Wanted) -> Generator[MeterProvider | None]:
    """The provider of what is to be exported; None for the global one. Raises OSError."""
    if not wants:
        yield None
        return
    os.environ.setdefault("OTEL_SERVICE_NAME", "relevo-probe")
    with needing("telemetry"):
        from relevo_server.telemetry.exporters import Exporters  # noqa: PLC0415 - an extra
    exporters = Exporters(wants._replace(traces=None))
    with exporters:
        yield exporters.meters


@contextmanager
def _stopped_by_signals(stop: Callable[[], None]) -> Generator[None]:
    """SIGINT and SIGTERM end the run, whose summary is printed. A second one ends the process."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def handle(number: int, _: FrameType | None) -> None:
        signal.signal(number, before[signal.Signals(number)])
        stop()

    for number in before:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _metrics_address(text: str) -> str:
    try:
        return metrics_address(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None

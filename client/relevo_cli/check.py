"""`relevo check`: says what is wrong with a server's settings, its Redis and this host."""

import argparse
import asyncio
import os
import platform
from collections.abc import Iterator
from importlib.metadata import version

from relevo_server import diagnosis, logs
from relevo_server.cli import problems, serve
from relevo_server.cli.extras import needing
from relevo_server.diagnosis import Finding
from relevo_server.server import storage_of
from relevo_server.settings import Settings
from relevo_server.telemetry import process

from relevo_cli import output, terminal
from relevo_cli.documents import Json
from relevo_cli.failures import FAILED, OK
from relevo_cli.tables import Column, table
from relevo_cli.terminal import Colour

_COLUMNS = (Column("CHECK"), Column("RESULT"), Column("FOUND"))
_COLOURS: dict[diagnosis.Level, Colour] = {"warning": "yellow", "wrong": "red"}
_ADVICE = "see docs/operations.md"


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `relevo check`: those of `relevo serve`, and `--output`."""
    serve.add_settings(parser, _run)
    parser.description = (
        "Check the settings that `relevo serve` would have with the same flags, environment and "
        "file, and what it needs: files, Redis, the rights of its user (each command is tried on "
        "a key of its own), eviction policy, versions and clocks. Run it where the server runs."
    )
    parser.epilog = "Exit codes: 0 nothing is wrong, 1 something is, 2 wrong usage."
    output.add_option(parser, "table")


def _run(source: serve.Flags, options: argparse.Namespace) -> int:
    findings = list(_findings(source, options))
    documents: list[Json] = [each._asdict() for each in findings]
    output.print_answer(options, {"findings": documents}, _lines(findings))
    return FAILED if any(each.level == "wrong" for each in findings) else OK


def _findings(source: serve.Flags, options: argparse.Namespace) -> Iterator[Finding]:
    yield Finding("relevo", "ok", f"{process.release()}, gRPC {version('grpcio')}, "
                  f"Python {platform.python_version()}")  # fmt: skip
    try:
        loaded = serve.load(source, options)
    except serve.WrongSettingsError as error:
        for line in str(error).splitlines():
            yield Finding("settings", "wrong", line, _ADVICE)
        return
    for variable, nearest in problems.unknown_variables(os.environ):
        yield Finding("settings", "warning", f"{variable} is no setting", f"is it {nearest}?")
    yield Finding("settings", "ok", str(options.config or "from flags, environment and defaults"))
    yield from diagnosis.of_settings(loaded)
    logs.configure("error", "console")  # what the server would log is said by the findings
    try:
        yield from asyncio.run(_of_store(loaded))
    except ValueError as error:
        yield Finding("store", "wrong", str(error), _ADVICE)


async def _of_store(loaded: Settings) -> list[Finding]:
    with needing("encryption"):
        storage = storage_of(loaded)
    try:
        return [finding async for finding in diagnosis.of_store(storage)]
    finally:
        await storage.close()


def _lines(findings: list[Finding]) -> Iterator[str]:
    rows = [[each.check, each.level, each.text] for each in findings]
    head, *lines = table(_COLUMNS, rows, None)
    yield head
    for line, each in zip(lines, findings, strict=True):
        colour = _COLOURS.get(each.level)
        yield terminal.painted(line, colour) if colour else line
        if each.advice:
            yield f"  → {terminal.printable(each.advice)}"

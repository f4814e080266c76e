"""The findings of `relevo check`. Importing this module loads gRPC and the client of Redis."""

import argparse
import asyncio
import os
import platform
from collections.abc import Iterator
from importlib.metadata import version

from relevo_server import diagnosis, logs
from relevo_server.cli import problems, serve
from relevo_server.cli.extras import needing
from relevo_server.cli.workers.cores import usable_cores
from relevo_server.findings import Finding
from relevo_server.server import storage_of
from relevo_server.settings import Settings
from relevo_server.telemetry import process

ADVICE = "see docs/operations.md"


def findings(source: serve.Flags, options: argparse.Namespace) -> Iterator[Finding]:
    """Check the settings of the command line, and what they need."""
    yield Finding("relevo", "ok", f"{process.release()}, gRPC {version('grpcio')}, "
                  f"Python {platform.python_version()}")  # fmt: skip
    try:
        loaded = serve.load(source, options)
    except serve.WrongSettingsError as error:
        for line in str(error).splitlines():
            yield Finding("settings", "wrong", line, ADVICE)
        return
    for variable, nearest in problems.unknown_variables(os.environ):
        yield Finding("settings", "warning", f"{variable} is no setting", f"is it {nearest}?")
    yield Finding("settings", "ok", str(options.config or "from flags, environment and defaults"))
    yield from _of_workers(loaded)
    yield from diagnosis.of_settings(loaded)
    with needing("jwt"):
        yield from diagnosis.of_issuers(loaded.issuers)
    yield from diagnosis.of_schemas(loaded.schemas)
    logs.configure("error", "console")  # what the server would log is said by the findings
    try:
        yield from asyncio.run(_of_store(loaded))
    except ValueError as error:
        yield Finding("store", "wrong", str(error), ADVICE)


def _of_workers(loaded: Settings) -> Iterator[Finding]:
    """Check that each worker has a core."""
    if loaded.workers == 1:
        return
    cores = usable_cores()
    workers = cores if loaded.workers == "auto" else loaded.workers
    text = f"{workers}, with {cores} usable cores"
    if workers > cores:
        yield Finding(
            "workers", "warning", text, "set workers to auto, or give the host more cores"
        )
    else:
        yield Finding("workers", "ok", text)


async def _of_store(loaded: Settings) -> list[Finding]:
    with needing("encryption"):
        storage = storage_of(loaded)
    try:
        return [finding async for finding in diagnosis.of_store(storage)]
    finally:
        await storage.close()

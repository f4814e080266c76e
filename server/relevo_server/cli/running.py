"""Runs the server of `relevo serve`, and the exporters of its telemetry.

Importing this module loads gRPC, which reads GRPC_VERBOSITY only then: `serve` sets it before.
"""

import asyncio
import gc
import os
import signal
import sys
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from pathlib import Path

import uvloop

from relevo_server.cli.extras import needing
from relevo_server.cli.reloading import Load, Reloading
from relevo_server.server import Server
from relevo_server.settings import Settings
from relevo_server.storage import LayoutError
from relevo_server.telemetry.telemetry import NOTHING, Telemetry
from relevo_server.telemetry.wanted import wanted


def run(settings: Settings, load: Load, config: Path | None) -> int:
    """Run a server until SIGTERM or SIGINT, and return the exit code.

    On SIGHUP, and if a file of the settings changes, the server takes over what `load` returns.
    `config` is the file that `load` reads, if there is one.

    Raises ValueError if a setting cannot be used, OSError if an address is not available, and
    MissingExtraError.
    """
    try:
        if settings.encryption:
            with needing("encryption"):
                import_module("cryptography")  # before the server is made
        with _telemetry(settings) as telemetry:
            uvloop.run(_serve(settings, telemetry, load, config))
    except LayoutError as error:
        print(f"relevo serve: {error}", file=sys.stderr)
        return 1
    return 0


def _telemetry(settings: Settings) -> AbstractContextManager[Telemetry]:
    """The server's telemetry, exported until the context manager exits.

    Nothing is measured if the settings and the environment name no exporter. Raises
    MissingExtraError.
    """
    if settings.otlp_endpoint:
        os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = settings.otlp_endpoint
    to_export = wanted(os.environ, settings.metrics_listen, audit_otlp=settings.audit_otlp)
    if not to_export:
        return nullcontext(NOTHING)
    with needing("telemetry"):
        from relevo_server.telemetry.exporters import Exporters  # noqa: PLC0415
    return Exporters(to_export)


async def _serve(settings: Settings, telemetry: Telemetry, load: Load, config: Path | None) -> None:
    # Before the server is reachable: from then on somebody may send a signal.
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    with needing("jwt") if settings.issuers else nullcontext():
        server = Server(settings, telemetry=telemetry)
    reloading = Reloading(server, settings, load, config)
    loop.add_signal_handler(signal.SIGHUP, reloading.ask)
    async with server:
        watching = asyncio.create_task(reloading.run())
        # The objects that exist now are permanent. Exclude them from garbage collection: scanning
        # all of them takes tens of milliseconds each time, which delays every call.
        gc.collect()
        gc.freeze()
        try:
            await server.run(stop)
        finally:
            watching.cancel()

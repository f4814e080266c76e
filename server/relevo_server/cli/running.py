"""Runs the server of `relevo serve`, and the exporters of its telemetry.

Importing this module loads gRPC, which reads GRPC_VERBOSITY only then: `serve` sets it before.
"""

import asyncio
import gc
import os
import signal
import sys
from contextlib import AbstractContextManager, nullcontext

import uvloop

from relevo_server.cli.extras import needing
from relevo_server.server import Server
from relevo_server.settings import Settings
from relevo_server.storage import LayoutError
from relevo_server.telemetry.telemetry import NOTHING, Telemetry
from relevo_server.telemetry.wanted import wanted


def run(settings: Settings) -> int:
    """Run a server until SIGTERM or SIGINT, and return the exit code.

    Raises ValueError if a setting cannot be used, OSError if an address is not available, and
    MissingExtraError.
    """
    try:
        with _telemetry(settings) as telemetry:
            uvloop.run(_serve(settings, telemetry))
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


async def _serve(settings: Settings, telemetry: Telemetry) -> None:
    # Before the server is reachable: from then on somebody may send a signal.
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with Server(settings, telemetry=telemetry) as server:
        # The objects that exist now are permanent. Exclude them from garbage collection: scanning
        # all of them takes tens of milliseconds each time, which delays every call.
        gc.collect()
        gc.freeze()
        await server.run(stop)

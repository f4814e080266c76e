"""Instruments a process that `relevo-run` has started, when it imports one of the libraries."""

import sys

from relevo.on_import import on_import

_TRIGGERS = ("relevo_client", "grpc", "starlette.applications", "faststream")


def begin() -> None:
    """Instrument this process as soon as it imports one of the libraries; until then, nothing."""
    for module in _TRIGGERS:
        on_import(module, _instrument)


def _instrument() -> None:
    client = sys.modules.get("relevo_client")
    if client is not None and not hasattr(client, "instrument"):
        return  # it is being imported, and has imported this library: its own hook comes
    from relevo_client import instrument  # noqa: PLC0415 - a library has been imported

    instrument()

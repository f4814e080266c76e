"""The `relevo` command."""

from relevo_server.cli.main import main

__all__ = ["main"]

"""The `relevo` command. It stands on the client library and on the server; neither knows it."""

from relevo_cli.main import main

__all__ = ["main"]

"""The `relevo` command: what it can do, and where that is."""

import argparse
import os
import sys
from collections.abc import Sequence

from relevo_server.cli import demo, operate, serve


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns its exit code: 0; 1 where something failed; 2 where the command line
    or the settings are wrong; 3 where there is no such entry; 130 where it was
    interrupted.
    """
    parser = argparse.ArgumentParser(
        prog="relevo", description="A store of execution contexts, and its tools."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in (serve.add, operate.add_get, operate.add_put, operate.add_invalidate, demo.add):
        add(commands)
    options = parser.parse_args(arguments)
    try:
        code: int = options.run(options)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever read the output has enough of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code

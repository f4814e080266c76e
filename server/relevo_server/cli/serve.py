"""`relevo serve`: the settings from everywhere, then the server."""

import argparse
import asyncio
import os
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any

import uvloop
from pydantic import ValidationError
from pydantic_settings import CliSettingsSource

from relevo_server import logs, settings
from relevo_server.server import Server
from relevo_server.storage import LayoutError


def add(commands: Any) -> None:
    """Add the subcommand, with a flag for every setting."""
    parser = commands.add_parser(
        "serve",
        help="run a ContextStore server",
        description="Run a ContextStore server until SIGTERM or SIGINT.",
        epilog="Every flag can also be an environment variable (RELEVO_STORE for --store) or a "
        "key of the TOML file. Flags win over the environment, the environment over the file.",
    )
    parser.add_argument(
        "--config",
        type=Path,
        default=os.environ.get("RELEVO_CONFIG"),
        help="TOML file with settings (default: RELEVO_CONFIG, else none)",
    )
    flags: CliSettingsSource[Any] = CliSettingsSource(settings.Settings, root_parser=parser)
    parser.set_defaults(run=partial(_run, flags))


def _run(flags: CliSettingsSource[Any], options: argparse.Namespace) -> int:
    try:
        loaded = settings.load(options.config, flags(parsed_args=vars(options)))
        logs.configure(loaded.log_level, loaded.log_format)
        uvloop.run(_serve(loaded))
    except ValidationError as error:
        for problem in error.errors(include_input=False, include_url=False):
            name = ".".join(map(str, problem["loc"])) or "settings"
            text = problem["msg"].removeprefix("Value error, ")
            print(f"relevo serve: {name}: {text}", file=sys.stderr)
        return 2
    except ValueError as error:
        print(f"relevo serve: {error}", file=sys.stderr)
        return 2
    except (OSError, LayoutError) as error:
        print(f"relevo serve: {error}", file=sys.stderr)
        return 1
    return 0


async def _serve(loaded: settings.Settings) -> None:
    # Before anybody can know that the server runs: from then on it may be told to stop.
    asked = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, asked.set)
    async with Server(loaded) as server:
        await server.run(asked)

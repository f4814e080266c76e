"""`relevo serve`: loads the settings and runs the server."""

import argparse
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import CliSettingsSource, SettingsError

from relevo_server import logs, settings
from relevo_server.cli import problems
from relevo_server.cli.workers.cores import usable_cores

Flags = CliSettingsSource[Any]
"""The settings that are given as flags."""


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `relevo serve`: a flag for every setting."""
    parser.description = "Run a ContextStore server until SIGTERM or SIGINT."
    parser.epilog = (
        "Every flag can also be an environment variable (RELEVO_STORE for --store) or a key of the "
        "TOML file. Flags win over the environment, the environment over the file."
    )
    add_settings(parser, _run)


def add_settings(
    parser: argparse.ArgumentParser, run: Callable[[Flags, argparse.Namespace], int]
) -> None:
    """Add `--config` and a flag for every setting. `run` gets their source, and the options."""
    parser.add_argument(
        "--config",
        type=Path,
        default=os.environ.get("RELEVO_CONFIG"),
        help="TOML file with settings (default: RELEVO_CONFIG, else none)",
    )
    flags: Flags = CliSettingsSource(
        settings.Settings, root_parser=parser, add_argument_method=_add_argument
    )
    parser.set_defaults(run=partial(run, flags))


def _add_argument(parser: argparse.ArgumentParser, *names: str, **options: Any) -> argparse.Action:
    """Add a flag to the parser. The store's URL is a secret, but its default is shown."""
    secret = settings.Settings.model_fields["store"].default
    options["help"] = options["help"].replace(str(secret), secret.get_secret_value())
    if options.get("metavar") == type(secret).__name__:
        options["metavar"] = "URL"
    return parser.add_argument(*names, **options)


class WrongSettingsError(ValueError):
    """Raised for settings that cannot be used. Its text has a line for each of them."""


def load(source: Flags, options: argparse.Namespace) -> settings.Settings:
    """Load the settings that flags, the environment and `--config` give.

    Raises WrongSettingsError, which quotes no values.
    """
    file, given = Path(options.config) if options.config else None, vars(options)
    try:
        return settings.load(file, source(parsed_args=given))
    except ValidationError as error:
        text = "\n".join(problems.explain(error, file, given))
    except SettingsError as error:
        text = problems.explain_unreadable(error, given)
    except ValueError as error:
        text = str(error)
    raise WrongSettingsError(text)


def _run(source: Flags, options: argparse.Namespace) -> int:
    try:
        loaded = load(source, options)
        logs.configure(loaded.log_level, loaded.log_format)
        for variable, nearest in problems.unknown_variables(os.environ):
            logs.log.warning("settings.unknown", variable=variable, nearest=nearest)
        return _run_server(loaded, partial(load, source, options), options.config)
    except ValueError as error:
        for line in str(error).splitlines():
            print(f"relevo serve: {line}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"relevo serve: {error}", file=sys.stderr)
        return 1


def _run_server(
    loaded: settings.Settings, load_again: Callable[[], settings.Settings], config: Path | None
) -> int:
    workers = usable_cores() if loaded.workers == "auto" else loaded.workers
    if workers > 1:
        from relevo_server.cli.workers import supervisor  # noqa: PLC0415 - not for one process

        return supervisor.run(loaded, load_again, config, workers)
    if loaded.log_format == "json":
        # gRPC's core writes lines of its own, which are no JSON. It reads the variable once.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from relevo_server.cli import running  # noqa: PLC0415 - see above

    return running.run(loaded, load_again, config)

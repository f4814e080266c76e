"""Parsers of commands, each of which imports its command only if it is used."""

import argparse
from collections.abc import Callable
from contextlib import nullcontext
from importlib import import_module
from typing import Any, NamedTuple

from relevo_server.cli.extras import MissingExtraError, needing


class Command(NamedTuple):
    """A subcommand of `relevo`."""

    name: str
    summary: str
    """Its description in the list of commands."""
    place: str
    """The function that adds its arguments to a parser, as `module:function`."""
    extra: str | None = None
    """The extra that its imports need; None if a plain installation suffices."""


class CommandParser(argparse.ArgumentParser):
    """The parser of one command. Its arguments are added when it first parses something.

    Most commands take longer to import (gRPC, pydantic, uvloop) than to run. So only the
    command that is used is imported.
    """

    def __init__(self, *, command: Command, **options: Any) -> None:
        super().__init__(**options)
        self._command = command
        self._is_complete = False

    def complete(self) -> None:
        """Add the command's arguments, if they are not there yet. Raises MissingExtraError."""
        if self._is_complete:
            return
        module, _, function = self._command.place.partition(":")
        with needing(self._command.extra) if self._command.extra else nullcontext():
            add: Callable[[argparse.ArgumentParser], None] = getattr(
                import_module(module), function
            )
        self._is_complete = True
        self.set_defaults(parser=self)
        add(self)

    def parse_known_args(  # pyright: ignore[reportIncompatibleMethodOverride] - it is overloaded
        self, args: Any = None, namespace: Any = None
    ) -> Any:
        """Parse as argparse does. If an extra is missing, say so and end with exit code 2."""
        try:
            self.complete()
        except MissingExtraError as error:
            self.exit(2, f"{self.prog}: {error}\n")
        return super().parse_known_args(args, namespace)

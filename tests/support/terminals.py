"""A terminal that a test reads: what is written to it stays here."""

import io
import re


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        """Say that it is one."""
        return True

    def reconfigure(self, **_: object) -> None:
        """Take the settings of a `TextIOWrapper`: all characters can be written anyway."""

    @property
    def colours(self) -> list[str]:
        """The sequences that were written to choose colours or a style."""
        return re.findall(r"\x1b\[[\d;]*m", self.getvalue())

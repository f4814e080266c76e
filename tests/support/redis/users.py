"""Users of Redis with the rights of docs/operations.md."""

import re
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from support.redis.client import RedisClient

_PAGE = Path(__file__).parents[3] / "docs/operations.md"
RIGHTS = _PAGE.read_text("utf-8").split("\n### Rights\n")[1].split("\n## ")[0]
"""The section of the page."""
LINE, SENTINEL_LINE = re.findall(r"^ACL SETUSER .+$", RIGHTS, re.MULTILINE)
"""The page's commands of Redis: for its servers, and for Sentinels."""
PASSWORD = "s3cret"  # noqa: S105 - a test's own


class User:
    """A user of some Redis servers, with the rights of a line of the page. Use with `with`.

    `prefix` is the store's. `more` are further rights.
    """

    def __init__(
        self, clients: Sequence[RedisClient], prefix: str, *more: str, line: str = LINE
    ) -> None:
        self.name = f"relevo-{secrets.token_hex(4)}"
        self._clients = clients
        self._words = [word.replace("relevo", prefix) for word in line.split()[3:]]
        self._words[self._words.index(">PASSWORD")] = f">{PASSWORD}"
        self._words += more
        self.give()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for client in self._clients:
            client("ACL", "DELUSER", self.name)

    def give(self, *more: str) -> None:
        """Give the user its rights again, and more."""
        for client in self._clients:
            client("ACL", "SETUSER", self.name, *self._words, *more)

    def take(self, command: str) -> None:
        """Take one right. Redis 6.2 cannot take a subcommand alone: the whole command goes."""
        for client in self._clients:
            client("ACL", "SETUSER", self.name, f"-{command.partition('|')[0]}")

    def url(self, url: str) -> str:
        """A URL of the user."""
        return url.replace("://", f"://{self.name}:{PASSWORD}@")

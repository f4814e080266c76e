"""Settings of servers under test."""

import uuid
from typing import Any

from pydantic import SecretStr
from relevo_server.settings import Settings


def settings_on(url: str, **more: Any) -> Settings:
    """Settings of a server on a free port, whose keys in the store at `url` are its own.

    It waits ten seconds for its store: a busy machine may hold up everything for one.
    """
    of_tests: dict[str, Any] = {
        "listen": "127.0.0.1:0",
        "store": SecretStr(url),
        "store_prefix": f"test-{uuid.uuid4().hex}",
        "store_timeout": 10.0,
        "grace": 0.5,
    }
    return Settings(**{**of_tests, **more})

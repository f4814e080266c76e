"""Callers with tokens: the principals that a server knows, and the metadata of their calls."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from relevo_server.identities import Principal


def principal(token: str, *tenants: str, name: str = "", **rest: Any) -> Principal:
    """A principal with this token, which is its name too if there is no other."""
    digest = sha256(token.encode()).hexdigest()
    return Principal(name=name or token, token_sha256=digest, tenants=tenants, **rest)


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    """The metadata of a caller with this token."""
    return (("authorization", f"Bearer {token}"),)


class Showing:
    """A call that shows a token, without a server."""

    def __init__(self, token: str) -> None:
        self._token = token

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        """The metadata of the call."""
        return bearer(self._token)

    def auth_context(self) -> Mapping[str, Any]:
        """No certificate."""
        return {}

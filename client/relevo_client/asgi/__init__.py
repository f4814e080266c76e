"""An ASGI middleware that makes a conversation's context current in HTTP requests."""

from relevo_client.asgi._finding import Begin
from relevo_client.asgi._middleware import ContextMiddleware
from relevo_client.asgi._overrides import Override
from relevo_client.asgi._types import ASGIApp, Receive, Scope, Send

__all__ = [
    "ASGIApp",
    "Begin",
    "ContextMiddleware",
    "Override",
    "Receive",
    "Scope",
    "Send",
]

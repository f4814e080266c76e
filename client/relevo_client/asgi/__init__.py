"""Contexts at the HTTP edge: a middleware for any ASGI application."""

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

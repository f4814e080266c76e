"""The refusals of requests whose context is unavailable."""

from relevo_client import (
    ContextKey,
)
from support.servers.asgi import Answer

KEY = ContextKey("conversation", "acme", "c-1")


def why(answer: Answer) -> tuple[int, str, str]:
    """The status, reason and message of an answer."""
    return answer.status, answer.body["error"]["reason"], answer.body["error"]["message"]


UNAVAILABLE = 503, "UNAVAILABLE", "the call's context cannot be resolved now"
FAILED = 500, "INTERNAL", "the call's context could not be resolved"

"""The answers to requests that the middleware refuses."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil

from relevo_client._context.errors import (
    IncompleteContextError,
    InvalidFieldError,
    NotFoundError,
    RelevoError,
    StoreBehindError,
)
from relevo_client._propagation.refusals import FAILED, FORBIDDEN, MALFORMED, Refusal
from relevo_client.asgi._types import Headers, Receive, Scope, Send

POLICY_VIOLATION = 1008
_MAX_CLOSE_REASON = 123
"""The most bytes of text in a WebSocket's close frame."""


@dataclass(frozen=True)
class Answer:
    """An HTTP answer: a status, and a body with fixed texts and names of headers only."""

    status: int
    reason: str
    """A name for programs, in capitals."""
    message: str
    """A sentence for people."""
    retry_after: int | None = None
    """Seconds before a retry; None if a retry will not help."""

    @property
    def body(self) -> bytes:
        """The JSON body."""
        return json.dumps({"error": {"reason": self.reason, "message": self.message}}).encode()

    @property
    def headers(self) -> Headers:
        """The response's headers."""
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(self.body)),
        ]
        if self.retry_after is not None:
            headers.append((b"retry-after", b"%d" % self.retry_after))
        return headers


class AnsweredError(Exception):
    """Ends a request with an answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.message)
        self.answer = answer


NO_CONVERSATION = Answer(
    400, "NO_CONVERSATION", "X-Tenant-ID and X-Conversation-ID: must name a conversation"
)
MALFORMED_REFERENCE = Answer(
    400, "MALFORMED_REFERENCE", "context-key, context-revision: must be one well-formed reference"
)
OTHER_USER = Answer(403, "OTHER_USER", "X-User-ID: not the conversation's user")
USER_REQUIRED = Answer(403, "USER_REQUIRED", "X-User-ID: must name the conversation's user")
OTHER_AGENT = Answer(409, "OTHER_AGENT", "X-Agent-ID: not the conversation's agent")
FORBIDDEN_CONTEXT = Answer(403, "FORBIDDEN", FORBIDDEN.text)
_FAILED = Answer(500, "INTERNAL", FAILED.text)
_BY_ERROR: dict[type[RelevoError], tuple[int, str]] = {
    NotFoundError: (409, "NOT_FOUND"),
    IncompleteContextError: (409, "INCOMPLETE"),
    StoreBehindError: (503, "TOO_OLD"),
}
_NOT_NOW = (503, "UNAVAILABLE")


def malformed(violations: Iterable[tuple[str, str]]) -> AnsweredError:
    """The error of a request with malformed headers, given as names and problems."""
    return AnsweredError(Answer(400, "INVALID_HEADER", str(InvalidFieldError(violations))))


def rejected(refusal: Refusal, error: RelevoError | None = None) -> AnsweredError:
    """The HTTP answer for a call's refusal. `error` is why the context cannot be resolved."""
    if refusal is FORBIDDEN:
        return AnsweredError(FORBIDDEN_CONTEXT)
    if refusal is FAILED:
        return AnsweredError(_FAILED)
    if refusal is MALFORMED:
        return AnsweredError(MALFORMED_REFERENCE)
    if error is None:
        return AnsweredError(NO_CONVERSATION)
    status, reason = _BY_ERROR.get(type(error), _NOT_NOW)
    retry_after = max(1, ceil(error.retry_after or 1)) if status == 503 else None
    return AnsweredError(Answer(status, reason, refusal.text, retry_after))


async def send_answer(answer: Answer, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer an HTTP request, or the handshake of a WebSocket."""
    kind = "http.response"
    if scope["type"] == "websocket":
        await receive()  # websocket.connect
        if "websocket.http.response" not in (scope.get("extensions") or {}):
            reason = answer.message[:_MAX_CLOSE_REASON]
            message = {"type": "websocket.close", "code": POLICY_VIOLATION, "reason": reason}
            return await send(message)
        kind = "websocket.http.response"
    await send({"type": f"{kind}.start", "status": answer.status, "headers": answer.headers})
    await send({"type": f"{kind}.body", "body": answer.body})
    return None

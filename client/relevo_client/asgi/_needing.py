"""Serves requests without a context, and refuses them if the application needs one."""

from relevo_client._propagation.refusals import NEEDS_CONTEXT, needs_context
from relevo_client.asgi._answers import NO_CONVERSATION, POLICY_VIOLATION, send_answer
from relevo_client.asgi._types import ASGIApp, Message, Receive, Scope, Send


async def serve_without(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve a request without a context; refuse it if the application raises NoContextError.

    A refusal is possible until the answer begins, or for a WebSocket until it closes. After
    that the application's exception is raised.
    """
    exchange = _Exchange(scope, receive, send)
    try:
        await app(scope, exchange.receive, exchange.send)
    except NEEDS_CONTEXT as error:
        if needs_context(error) is None or not await exchange.refuse():
            raise


class _Exchange:
    """The messages of one request, as far as a refusal depends on them."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._first: Message | None = None
        self._sent = ""

    async def receive(self) -> Message:
        """Receive the application's next message."""
        message = await self._receive()
        # Kept for a WebSocket's refusal, without a request's body, which may be large.
        self._first = self._first or {"type": message["type"]}
        return message

    async def send(self, message: Message) -> None:
        """Send a message of the application."""
        self._sent = message["type"]
        await self._send(message)

    async def refuse(self) -> bool:
        """Answer that the request names no conversation. False if it is too late for an answer."""
        if not self._sent:
            await send_answer(NO_CONVERSATION, self._scope, self._first_message, self._send)
        elif self._sent in ("websocket.accept", "websocket.send"):
            reason = NO_CONVERSATION.message
            message = {"type": "websocket.close", "code": POLICY_VIOLATION, "reason": reason}
            await self._send(message)
        else:
            return False
        return True

    async def _first_message(self) -> Message:
        """The first message, even if the application has received it already."""
        return self._first or await self._receive()

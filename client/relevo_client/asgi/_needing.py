"""Requests that name no conversation, to an application that may need one."""

from relevo_client._propagation.refusals import NEEDS_CONTEXT, needs_context
from relevo_client.asgi._answers import NO_CONVERSATION, POLICY_VIOLATION, send_answer
from relevo_client.asgi._types import ASGIApp, Message, Receive, Scope, Send


async def serve_without(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve a request that has no context; one whose application needs one is refused.

    That is possible until the answer begins, and for a WebSocket until it closes. After that
    the application's NoContextError is raised.
    """
    exchange = _Exchange(scope, receive, send)
    try:
        await app(scope, exchange.receive, exchange.send)
    except NEEDS_CONTEXT as error:
        if needs_context(error) is None or not await exchange.refuse():
            raise


class _Exchange:
    """What an application has received and sent so far."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._first: Message | None = None
        self._sent = ""

    async def receive(self) -> Message:
        """What the application receives next."""
        message = await self._receive()
        # For a WebSocket's answer; a request's body may be large, and is not kept.
        self._first = self._first or {"type": message["type"]}
        return message

    async def send(self, message: Message) -> None:
        """Send what the application sends."""
        self._sent = message["type"]
        await self._send(message)

    async def refuse(self) -> bool:
        """Answer that the request names no conversation; whether it could still be answered."""
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
        """The first message, which the application may have received already."""
        return self._first or await self._receive()

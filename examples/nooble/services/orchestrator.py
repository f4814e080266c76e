"""The orchestrator: the platform's edge, which holds conversations through a WebSocket."""

from contextlib import suppress

from opentelemetry import propagate, trace
from relevo_client import CacheOptions, current_context
from relevo_client.asgi import ContextMiddleware
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket, WebSocketDisconnect

from nooble.counting import CountingConnections
from nooble.loading import beginning
from nooble.services.member import POLICY, Member, member
from nooble.services.running import run, serve_http
from nooble.turns import TurnError, Turns
from nooble.who import Who, from_headers
from nooble.wiring import STALENESS, Wiring

_tracer = trace.get_tracer("nooble")


class Orchestrator:
    """Holds conversations: it answers each text with an answer or an error.

    It keeps the user's messages for as long as the connection lasts.
    """

    def __init__(self, service: Member, turn_timeout: float) -> None:
        self._service = service
        self._turns = Turns(service, turn_timeout)

    def app(self) -> ASGIApp:
        """The ASGI application. With Relevo, a conversation's context is current in it."""
        app = Starlette(routes=[WebSocketRoute("/conversation", self.converse)])
        contexts = self._service.contexts
        if contexts is None:
            return app
        return CountingConnections(
            ContextMiddleware(app, contexts, begin=beginning(contexts), policy=POLICY)
        )

    async def converse(self, websocket: WebSocket) -> None:
        """Hold one conversation, turn by turn."""
        who: Who = current_context() or from_headers(websocket.headers.items())
        await websocket.accept()
        with suppress(WebSocketDisconnect):
            await self._converse(who, websocket)

    async def _converse(self, who: Who, websocket: WebSocket) -> None:
        history: list[str] = []
        trace_of_client = propagate.extract(websocket.headers)
        while True:
            text = await websocket.receive_text()
            try:
                with _tracer.start_as_current_span("turn", trace_of_client, trace.SpanKind.SERVER):
                    answer = await self._turns.run(who, text, history)
            except TurnError as error:
                await websocket.send_json({"error": error.reason, "message": str(error)})
                continue
            history.append(text)
            await websocket.send_json(answer)


async def main(wiring: Wiring) -> None:
    """Serve until SIGTERM."""
    cache = CacheOptions(max_staleness=STALENESS)
    # An answer is delivered even if its context is no longer available.
    async with member("orchestrator", wiring, cache, resolves_actions=False) as service:
        app = Orchestrator(service, wiring.turn_timeout).app()
        async with service.queues:
            await serve_http(app)


if __name__ == "__main__":
    run("orchestrator", main)

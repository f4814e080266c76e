"""Returns to a trusted caller the newest revision that a request has written or heard of."""

from relevo_client._context.fences import Fences
from relevo_client._propagation.metadata import REVISION
from relevo_client._telemetry.counts import COUNTS
from relevo_client.asgi._types import Message, Send

_NAME = REVISION.encode()


def returning(fences: Fences, send: Send) -> Send:
    """`send` that adds the header `context-revision` if the fence has risen by the answer's start.

    What the request hears after that comes too late for its caller.
    """

    async def send_with_revision(message: Message) -> None:
        revision = fences.risen() if message["type"] == "http.response.start" else 0
        if revision:
            others = [each for each in message.get("headers", ()) if each[0].lower() != _NAME]
            message = {**message, "headers": [*others, (_NAME, b"%d" % revision)]}
            COUNTS.returned += 1
        await send(message)

    return send_with_revision

"""Calls a listener with the trailing metadata of a call, before its caller gets on.

gRPC runs a call's callbacks in a thread or a step of its own, so a listener must know whom it
listens for: what is current there is not the caller's. It must not raise.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

from relevo_client._context.fences import FENCES
from relevo_client._propagation.metadata import Pairs

Listener: TypeAlias = Callable[[Pairs | None], object]
"""Takes the trailing metadata of a call that has ended; None if there is none."""


def aio_listen(call: Any, listener: Listener) -> None:
    """Call a listener at the end of an asyncio call, or now if it has ended.

    gRPC calls it in the step that sets the call's status, so before any task that waits for it.
    """
    try:
        call.add_done_callback(partial(_aio_ended, listener))
    except NotImplementedError:  # a response that an interceptor has made has ended
        _aio_ended(listener, call)


def _aio_ended(listener: Listener, call: Any) -> None:
    # What gRPC's own coroutine looks at, which takes several times as long: half of a listener.
    status = getattr(getattr(call, "_cython_call", None), "_status", None)
    if status is not None:
        listener(status.trailing_metadata())
        return
    reading = call.trailing_metadata()
    try:
        reading.send(None)  # of a call that has ended it waits for nothing
    except StopIteration as read:
        listener(read.value)
    else:
        reading.close()


def listen(call: Any, listener: Listener) -> None:
    """Call a listener at the end of a blocking call, or now if it has ended.

    For a call that has not ended, it is called in gRPC's thread, which has then just woken those
    that wait for the call. They may be faster: so the fences of the call that is current now ask
    for the answer before each use. Of a plain iterator, which an interceptor may return in the
    place of a stream, nothing can be heard.
    """
    if not (hasattr(call, "done") and hasattr(call, "add_callback")):
        return
    ended = partial(_ended, listener, call)
    if call.done() or not call.add_callback(ended):
        ended()
        return
    fences = FENCES.get()
    if fences:
        fences.expect(partial(_has_ended, ended, call))


def _has_ended(ended: Callable[[], None], call: Any) -> bool:
    has_ended: bool = call.done()
    if has_ended:
        ended()  # perhaps for the second time: who is told what he knows ignores it
    return has_ended


def _ended(listener: Listener, call: Any) -> None:
    listener(call.trailing_metadata())

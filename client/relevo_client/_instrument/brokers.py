"""Brokers of FastStream: what they publish carries the reference, which consumers work with."""

import sys
from collections.abc import Iterator
from functools import partial, wraps
from importlib import import_module
from typing import Any, cast
from weakref import ref

from relevo_client._instrument.messages import Messages, stamped
from relevo_client._instrument.patches import Patch

MODULE = "faststream"
"""The module whose brokers are patched."""
_ACTIONS = "relevo_client.actions.faststream"


def patch_brokers(messages: Messages) -> Iterator[Patch]:
    """Patch the brokers that are made from now on. FastStream must have been imported.

    Raises ImportError or AttributeError for a version of FastStream that has other classes.
    """
    middleware = _middleware()

    def replace(original: Any) -> Any:
        @wraps(original)
        def init(self: Any, *args: Any, **options: Any) -> None:
            original(self, *args, **options)
            if not messages.is_over:
                self.add_middleware(partial(middleware, messages=messages, broker=ref(self)))

        return init

    broker = import_module("faststream._internal.broker").BrokerUsecase
    yield Patch.make(broker, "__init__", replace)


def _middleware() -> Any:
    from faststream import BaseMiddleware  # noqa: PLC0415 - the service uses it
    from faststream.message import SourceType  # noqa: PLC0415 - the same

    class InstrumentedMiddleware(BaseMiddleware):
        """Makes the context of a message current, and stamps what is published."""

        def __init__(self, msg: Any, /, *, context: Any, messages: Messages, broker: Any) -> None:
            super().__init__(msg, context=context)
            self._messages = messages
            self._broker = broker

        async def consume_scope(self, call_next: Any, msg: Any) -> Any:
            is_answer = msg.source_type is SourceType.RESPONSE  # to a request of this service
            if self._messages.is_over or is_answer or _has_actions(self._broker()):
                return await call_next(msg)
            bound = await self._messages.current(_queue_of(msg), msg.headers or {}, msg)
            with bound.current():
                return await call_next(msg)

        async def publish_scope(self, call_next: Any, cmd: Any) -> Any:
            if not self._messages.is_over and not _has_actions(self._broker()):
                cmd.headers = stamped(cmd.headers)
            return await call_next(cmd)

    return InstrumentedMiddleware


def _has_actions(broker: object) -> bool:
    """Whether a broker is one of ActionQueues, whose actions carry their contexts themselves."""
    actions = sys.modules.get(_ACTIONS)
    return actions is not None and broker in actions.BROKERS


def _queue_of(message: Any) -> str:
    """The name of a message's queue, for a policy's function; "" if it has none."""
    raw = getattr(message, "raw_message", None)
    channel = cast("dict[str, Any]", raw).get("channel") if isinstance(raw, dict) else None
    return channel.decode() if isinstance(channel, bytes) else str(channel or "")

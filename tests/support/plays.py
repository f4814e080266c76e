"""One call of one server: what the caller gets, and what the handler saw."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from relevo_client import ContextRef

from support.callers import Outcome, calling
from support.hosting import hosted
from support.scenes import Scene
from support.shapes import SHAPES, Shape

Metadata = Sequence[tuple[str, str]]

UNARY_SHAPES = [shape for shape in SHAPES if shape.arity == "unary_unary"]
"""The shapes of a unary call: where handlers run in a thread, in a task, and in
a thread of an asyncio server's."""


class Play(NamedTuple):
    """A call that is over."""

    outcome: Outcome
    seen: list[str]
    """What the handler saw; nothing, where it was not reached."""

    @property
    def refusal(self) -> tuple[Any, str]:
        """How the call ended without its handler."""
        assert self.seen == [], "the handler was reached"
        return self.outcome.code, self.outcome.details


async def play(
    shape: Shape,
    interceptor: Any,
    metadata: Metadata = (),
    *,
    scene: Scene | None = None,
    timeout: float = 20.0,
) -> Play:
    """A call with this metadata to a handler of this shape, behind this interceptor, or none."""
    scene = scene or Scene()
    methods = {"Do": (shape.arity, shape.make(scene))}
    async with (
        hosted(shape.server, methods, interceptors=[interceptor] if interceptor else []) as host,
        # The blocking client: gRPC's asyncio client loses the status of a call that is
        # refused while it still sends.
        calling("blocking", host.address, interceptors=()) as caller,
    ):
        call = caller.begin(shape.arity, metadata=tuple(metadata), timeout=timeout)
        return Play(await caller.outcome(shape.arity, call), scene.seen)


def naming(ref: ContextRef) -> Metadata:
    """The metadata of a call that carries a reference."""
    return (("context-key", ref.key.text), ("context-revision", str(ref.revision)))

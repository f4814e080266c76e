"""The revisions that answers bring back, as an entry of trailing metadata or as an HTTP header."""

import gc
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, cast

from relevo_client._context.current import current_ref
from relevo_client._context.errors import InvalidFieldError
from relevo_client._context.fences import FENCES, Fences, raise_fence
from relevo_client._context.keys import ContextRef
from relevo_client._propagation.metadata import REVISION, Pairs, decode, revision_in
from relevo_client._telemetry.counts import COUNTS


def hear(answer: ContextRef | Mapping[str, str] | Pairs | None) -> None:
    """Raise the fence of this call to the revision that an answer has brought.

    From then on the call reads nothing older than what the answering service had written or seen,
    and neither do the services that it calls. Channels do this for gRPC calls. Use it for answers
    of services of your own platform that come in other ways:

    - the headers of an HTTP response (a mapping, or pairs of name and value), whose request carried
      `context_headers()`;
    - the `context_ref` of an action's reply.

    None, an answer without a revision and a malformed revision change nothing.
    """
    if isinstance(answer, ContextRef):
        raise_fence(answer.key.tenant_id, answer.revision)
        return
    ref = current_ref()
    fences = FENCES.get()
    if answer is not None and ref is not None and fences is not None:
        revision = _revision_in(_lower_case(answer))
        if revision:
            _rise(fences, ref.key.tenant_id, revision)


def _lower_case(headers: Mapping[str, str] | Pairs) -> Iterable[tuple[str, str | bytes]]:
    pairs = cast("Mapping[str, str]", headers).items() if isinstance(headers, Mapping) else headers
    return [(name.lower(), value) for name, value in pairs]


def hear_answer(fences: Fences, carried: Pairs, trailing: Pairs | None) -> None:
    """Raise the fence to the revision in the trailing metadata of a call. Never raises.

    `fences` are those of the caller. The revision is one of the tenant whose reference the call
    has `carried`, and says nothing of others. A malformed one is ignored and counted.
    """
    revision = _revision_in(trailing) if trailing else 0
    if not revision:
        return
    with suppress(InvalidFieldError):  # a malformed reference, which the callee has refused
        ref = decode(carried)
        if ref:
            _rise(fences, ref.key.tenant_id, revision)


def _revision_in(metadata: Pairs) -> int:
    try:
        return revision_in(metadata) or 0
    except InvalidFieldError:
        COUNTS.heard_refused += 1
        return 0


def _rise(fences: Fences, tenant_id: str, revision: int) -> None:
    if revision > fences.heard(tenant_id):
        COUNTS.heard += 1
        fences.rise(tenant_id, revision)


class ServedFences(Fences):
    """The fences of a call that a handler serves, whose caller hears that they have risen.

    `context` is gRPC's servicer context. The revision is set as soon as it rises, and again when
    the handler has ended: `abort` on an event loop sends the status at once.
    """

    __slots__ = ("_context",)

    def __init__(self, ref: ContextRef, context: Any) -> None:
        super().__init__(ref)
        self._context = context

    def rose(self) -> None:
        """Set the new revision in the trailing metadata of the call."""
        context = self._context
        if context is not None:
            _set_revision(context, self.revision)

    def end(self) -> None:
        """Set the revision if it has risen, whatever metadata the handler has set meanwhile.

        What the call's tasks and threads hear later comes too late for its caller.
        """
        if self.risen():
            self.rose()
            COUNTS.returned += 1
        self._context = None


def _set_revision(context: Any, revision: int) -> None:
    set_by_handler = _trailing_metadata(context)
    if set_by_handler is not None:
        others = [entry for entry in set_by_handler if entry[0] != REVISION]
        context.set_trailing_metadata((*others, (REVISION, str(revision))))


def _trailing_metadata(context: Any) -> Iterable[tuple[str, Any]] | None:
    """The trailing metadata that a handler has set so far; None if it cannot be known."""
    if not hasattr(context, "trailing_metadata"):
        # The context of a plain function on an asyncio server only sets it, on the one that it
        # stands for.
        others = gc.get_referents(context)
        context = next((each for each in others if hasattr(each, "trailing_metadata")), None)
        if context is None:
            return None
    return context.trailing_metadata() or ()

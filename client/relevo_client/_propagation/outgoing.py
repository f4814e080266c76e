"""The rules of a channel: which of its calls carry the current reference."""

from base64 import b64encode
from collections.abc import Sequence
from fnmatch import fnmatchcase
from functools import lru_cache, partial

from relevo_client._context.current import get_current, rider_of_current
from relevo_client._context.errors import InvalidFieldError
from relevo_client._context.fences import FENCES, fenced
from relevo_client._propagation.answers import hear_answer
from relevo_client._propagation.callbacks import must_be_plain
from relevo_client._propagation.listening import Listener
from relevo_client._propagation.metadata import RIDER, Pairs, entries_of, has_room, names_a_context
from relevo_client._telemetry.counts import COUNTS
from relevo_client.filters import MethodFilter

Entries = Sequence[tuple[str, str | bytes]]
"""The metadata that a call carries."""


def context_headers() -> dict[str, str]:
    """The current reference as headers of an HTTP request or of a message.

    The headers are `context-key` and `context-revision`, `context-signature` for a reference that
    the store has signed, and `context-entry-bin` for a small snapshot, in base64; empty if no
    context is current. Send them only to services that may learn of the context, not to a third
    party's. Raises InvalidFieldError if key and revision take more than 512 bytes.
    """
    return {
        name: value if isinstance(value, str) else b64encode(value).decode("ascii")
        for name, value in _carried(None)
    }


def _carried(metadata: Pairs | None) -> Entries:
    """The entries of the current reference; empty if no context is current.

    With them goes the rider, if a call with this metadata has room for it.
    """
    current = get_current()
    ref = None if current is None else current.ref
    if ref is None:
        return ()
    try:
        ref = fenced(ref)
        entries = entries_of(ref.key, ref.revision, ref.signature)
    except InvalidFieldError:
        COUNTS.sent_refused += 1
        raise
    COUNTS.sent += 1
    rider = rider_of_current(current)
    if rider is None:
        return entries
    if not has_room(metadata, rider):
        COUNTS.riders["no_room"] += 1
        return entries
    COUNTS.riders["sent"] += 1
    return *entries, (RIDER, rider)


class Outbound:
    """The rules of one channel, which are the arguments of its interceptors or its wrapper.

    Raises TypeError if `exempt` is a coroutine function, and ValueError for `allow` without
    `target`.
    """

    def __init__(
        self, *, exempt: MethodFilter, target: str | None, allow: Sequence[str] | None
    ) -> None:
        must_be_plain(exempt=exempt)
        if allow is not None and target is None:
            raise ValueError("if 'allow' is given, 'target' must name the channel's target")
        is_allowed = allow is None or any(fnmatchcase(str(target), each) for each in allow)

        @lru_cache(1024)
        def concerns(method: str | bytes) -> bool:
            return is_allowed and not exempt(
                method.decode() if isinstance(method, bytes) else method
            )

        self.concerns = concerns
        """Whether the calls of a method carry the current reference."""
        self.is_over = False
        """Whether calls carry nothing from now on: `undo` of an instrumentation ends its rules."""

    def added(self, metadata: Pairs | None) -> Entries:
        """The entries to add to a call's metadata: those of the current reference, and its rider.

        Empty if no context is current, or if the metadata has a reference: the explicit one wins.
        """
        if self.is_over or (metadata and names_a_context(metadata)):
            return ()
        return _carried(metadata)

    def listener(self, metadata: Pairs | None) -> Listener | None:
        """The function to call with the trailing metadata of a call, which has just begun.

        `metadata` is what the call carries. None if nobody listens, which costs the call nothing:
        outside of calls, and for a call that carries nothing.
        """
        if not metadata:
            return None
        fences = FENCES.get()
        return None if fences is None else partial(hear_answer, fences, metadata)

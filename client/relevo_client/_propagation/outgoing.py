"""The rules of a channel: which of its calls carry the current reference."""

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

from relevo_client._context.current import current_ref
from relevo_client._context.errors import InvalidFieldError
from relevo_client._context.keys import ContextRef
from relevo_client._propagation.callbacks import must_be_plain
from relevo_client._propagation.metadata import Pairs, encode, names_a_context
from relevo_client._telemetry.counts import COUNTS
from relevo_client.filters import MethodFilter

_Entries = Sequence[tuple[str, str]]


def context_headers() -> dict[str, str]:
    """The current reference as headers of an HTTP request or of a message.

    The headers are `context-key` and `context-revision`, and `context-signature` for a reference
    that the store has signed; empty if no context is current. Send
    them only to services that may learn of the context, not to a third party's. Raises
    InvalidFieldError if both take more than 512 bytes.
    """
    ref = current_ref()
    return dict(_sent(ref)) if ref else {}


def _sent(ref: ContextRef) -> _Entries:
    try:
        entries = encode(ref)
    except InvalidFieldError:
        COUNTS.sent_refused += 1
        raise
    COUNTS.sent += 1
    return entries


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

    def added(self, metadata: Pairs | None) -> _Entries:
        """The entries to add to a call's metadata: those of the current reference.

        Empty if no context is current, or if the metadata has a reference: the explicit one wins.
        """
        ref = current_ref()
        if ref is None or (metadata and names_a_context(metadata)):
            return ()
        return _sent(ref)

    def carrying(self, metadata: Any, alone: Callable[[_Entries], Any] = tuple) -> Any:
        """A call's metadata with the entries of `added`; a copy, if there are any.

        `alone` makes the metadata of a call that has no entries of its own.
        """
        added = self.added(metadata)
        if not added:
            return metadata
        return (*metadata, *added) if metadata else alone(added)

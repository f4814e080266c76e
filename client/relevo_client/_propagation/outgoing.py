"""What a channel does with its calls, whatever their shape."""

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

from relevo_client._context.current import current_ref
from relevo_client._propagation.callbacks import must_be_plain
from relevo_client._propagation.metadata import Pairs, encode, names_a_context
from relevo_client.filters import MethodFilter

_Entries = Sequence[tuple[str, str]]


def context_headers() -> dict[str, str]:
    """The current reference as headers of an HTTP request or of a message.

    `context-key` and `context-revision`; empty where no context is current. For
    services that may know of the context: a third party's are not among them.
    Raises InvalidFieldError where both would take more than 512 bytes.
    """
    ref = current_ref()
    return dict(encode(ref)) if ref else {}


class Outbound:
    """The rules of one channel, as its interceptors or their like were given them."""

    def __init__(
        self, *, exempt: MethodFilter, target: str | None, allow: Sequence[str] | None
    ) -> None:
        must_be_plain(exempt=exempt)
        if allow is not None and target is None:
            raise ValueError("if 'allow' is given, 'target' must say what the channel calls")
        is_allowed = allow is None or any(fnmatchcase(str(target), each) for each in allow)

        @lru_cache(1024)
        def concerns(method: str | bytes) -> bool:
            return is_allowed and not exempt(
                method.decode() if isinstance(method, bytes) else method
            )

        self.concerns = concerns
        """Whether calls of a method carry anything."""

    def added(self, metadata: Pairs | None) -> _Entries:
        """What to add to a call's metadata: the current reference, or nothing.

        Nothing for a call that names a context already: the explicit one wins.
        """
        ref = current_ref()
        if ref is None or (metadata and names_a_context(metadata)):
            return ()
        return encode(ref)

    def carrying(self, metadata: Any, alone: Callable[[_Entries], Any] = tuple) -> Any:
        """A call's metadata, with what is added to it. The caller's own is left as it is.

        `alone` makes the metadata of a call that has no other.
        """
        added = self.added(metadata)
        if not added:
            return metadata
        return (*metadata, *added) if metadata else alone(added)

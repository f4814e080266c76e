"""What a client interceptor does with a call, whatever the call's shape."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from relevo_client import _metadata
from relevo_client._current import current_ref
from relevo_client.filters import MethodFilter


class Outbound:
    """The rules of one channel's interceptors, as their factory got them."""

    def __init__(
        self, *, exempt: MethodFilter, target: str | None, allow: Sequence[str] | None
    ) -> None:
        if allow is not None and target is None:
            raise ValueError("where 'allow' is given, 'target' must say what the channel calls")
        self._exempt = exempt
        self._allowed = allow is None or any(fnmatchcase(str(target), each) for each in allow)

    def added(
        self, method: str | bytes, metadata: _metadata.Pairs | None
    ) -> Sequence[tuple[str, str]]:
        """What to add to a call's metadata: the current reference, or nothing.

        Nothing for a call that names a context already: the explicit one wins.
        """
        ref = current_ref()
        if ref is None or not self._allowed or _metadata.names_a_context(metadata):
            return ()
        if self._exempt(method.decode() if isinstance(method, bytes) else method):
            return ()
        return _metadata.encode(ref)

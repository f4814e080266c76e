"""Channels of gRPC, of both kinds: their calls carry the current reference.

A channel stays gRPC's own object. What it opens for a method adds the reference as that of a
wrapped channel does, so a call costs the same.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from functools import wraps
from importlib import import_module
from typing import Any

from relevo_client._context.log import log
from relevo_client._instrument.patches import Patch
from relevo_client._propagation.channels import CALLS, AioCalls
from relevo_client._propagation.outgoing import Outbound
from relevo_client._propagation.own import Own
from relevo_client._store.targets import is_local

_CARRIES = "_relevo_carries"
"""The attribute of a channel whose calls carry references."""


class Targets:
    """The targets to which references may go.

    `allow` has patterns of them; None allows those on this host.
    """

    def __init__(self, allow: tuple[str, ...] | None) -> None:
        self._allow = allow
        self._has_warned = False

    def __contains__(self, target: object) -> bool:
        text = target.decode() if isinstance(target, bytes) else str(target)
        if self._allow is None:
            return is_local(text) or self._warn()
        names = {text, text.rpartition("/")[2]}  # the pattern of a host fits dns:///host:port too
        return any(fnmatchcase(name, pattern) for name in names for pattern in self._allow)

    def _warn(self) -> bool:
        if not self._has_warned:
            self._has_warned = True
            log.warning(
                "calls to other hosts carry no context: RELEVO_ALLOW, or 'allow' of instrument(), "
                "must have the patterns of their targets, as *.internal:*"
            )
        return False


def patch_channels(rules: Outbound, targets: Targets) -> Iterator[Patch]:
    """Patch the channels that are made from now on. Yields each patch when it is made.

    Raises ImportError or AttributeError for a version of gRPC that has other classes.
    """
    blocking = import_module("grpc._channel").Channel
    asyncio = import_module("grpc.aio._channel").Channel
    aio_calls: Mapping[str, Callable[..., Any]] = dict.fromkeys(CALLS, AioCalls)
    for owner, kinds in ((blocking, CALLS), (asyncio, aio_calls)):
        yield Patch.make(owner, "__init__", _marking(rules, targets))
        for arity, kind in kinds.items():
            yield Patch.make(owner, arity, _opening(rules, kind))


def _marking(rules: Outbound, targets: Targets) -> Callable[[Any], Any]:
    """Mark the channels whose calls are to carry references."""

    def replace(original: Any) -> Any:
        signature = inspect.signature(original)

        @wraps(original)
        def init(self: Any, *args: Any, **options: Any) -> None:
            original(self, *args, **options)
            given = signature.bind(self, *args, **options).arguments
            interceptors = given.get("interceptors") or ()
            is_explicit = any(isinstance(each, Own) for each in interceptors)
            if not rules.is_over and not is_explicit and given.get("target") in targets:
                setattr(self, _CARRIES, True)

        return init

    return replace


def _opening(rules: Outbound, kind: Callable[..., Any]) -> Callable[[Any], Any]:
    """Open a method of a marked channel so that its calls carry the reference."""

    def replace(original: Any) -> Any:
        @wraps(original)
        def open_method(self: Any, method: str, *args: Any, **options: Any) -> Any:
            opened = original(self, method, *args, **options)
            if rules.is_over or not getattr(self, _CARRIES, False) or not rules.concerns(method):
                return opened
            return kind(opened, rules)

        return open_method

    return replace

"""The reference of the Python API: a page for each part, whose text mkdocstrings makes."""

from collections.abc import Iterator, Mapping, Sequence

import relevo_client
from relevo_client import actions, asgi, filters, testing
from relevo_client.actions import faststream

Groups = Mapping[str, Sequence[str]]

CLIENT: Mapping[str, tuple[str, str, Groups]] = {
    "clients.md": (
        "Clients and contexts",
        "What asks the store, and what it answers.",
        {
            "Clients": ["AsyncContextClient", "ContextClient", "CacheOptions", "CacheCounts"],
            "Contexts": ["ExecutionContext", "ContextEntry", "ContextSource", "settings"],
            "Names": ["ContextKey", "ContextRef", "Invalidation", "CHANNEL_OPTIONS"],
        },
    ),
    "propagation.md": (
        "Propagation",
        "How a call carries its context, and what a handler does with it.",
        {
            "The current context": [
                *("require_context", "require_entry", "require_ref"),
                *("current_context", "current_entry", "current_ref"),
                *("await_context", "use_context", "wrap"),
            ],
            "Channels": [
                *("aio_context_channel", "context_channel"),
                *("aio_client_interceptors", "client_interceptors"),
                *("context_headers", "hear"),
            ],
            "Servers": ["aio_server_interceptor", "server_interceptor"],
            "Whole processes": ["instrument", "Instrumentation"],
            "Policies": ["Policy", "Fallback", "LostContext"],
        },
    ),
    "errors.md": (
        "Errors",
        "Every method of a client raises a RelevoError, with its reason.",
        {
            "The base": ["RelevoError", "Reason"],
            "Errors of the store": [
                *("NotFoundError", "IncompleteContextError", "StoreBehindError"),
                *("ConflictError", "LeaseHeldError", "LeaseLostError"),
                *("AccessDeniedError", "TooLargeError", "UnavailableError"),
            ],
            "Errors of arguments and handlers": ["InvalidFieldError", "NoContextError"],
            "Errors of typed sections": ["InvalidSectionError", "SectionViolation"],
        },
    ),
}
"""The pages of `relevo_client`: title, summary, and its names by heading."""

MODULES: Mapping[str, tuple[str, str, Mapping[str, Sequence[str]]]] = {
    "actions.md": (
        "Queues",
        "Contexts through queues. The guide is [Actions](../../actions.md).",
        {
            "relevo_client.actions": actions.__all__,
            "relevo_client.actions.faststream": faststream.__all__,
        },
    ),
    "asgi.md": (
        "HTTP",
        "Contexts through HTTP and WebSockets. The guide is [The HTTP edge](../../http.md).",
        {"relevo_client.asgi": ["ContextMiddleware", "Override", "Begin"]},
    ),
    "filters.md": (
        "Filters",
        "Which methods a policy is for. The guide is [Propagation](../../propagation.md#policies).",
        {"relevo_client.filters": filters.__all__},
    ),
    "testing.md": (
        "Tests",
        "A store within a test's process. The guide is [Test services](../../howto/test.md).",
        {"relevo_client.testing": testing.__all__},
    ),
}
"""The pages of the integrations: title, summary, and the names of each module."""
_ASGI_TYPES = {"ASGIApp", "Receive", "Scope", "Send"}
"""Types of ASGI's own, under the names that its specification gives them."""


def pages() -> dict[str, str]:
    """The text of each page by its name.

    Raises ValueError if a public name is on no page, or on two: a new one needs a place.
    """
    placed = [name for *_, groups in CLIENT.values() for names in groups.values() for name in names]
    _must_be_same("relevo_client", placed, relevo_client.__all__)
    in_asgi = [*MODULES["asgi.md"][2]["relevo_client.asgi"], *_ASGI_TYPES]
    _must_be_same("relevo_client.asgi", in_asgi, asgi.__all__)
    texts = {
        name: _page(
            title, summary, ((each, "relevo_client", names) for each, names in groups.items())
        )
        for name, (title, summary, groups) in CLIENT.items()
    }
    return texts | {
        name: _page(title, summary, ((f"`{each}`", each, names) for each, names in groups.items()))
        for name, (title, summary, groups) in MODULES.items()
    }


def _must_be_same(module: str, placed: Sequence[str], public: Sequence[str]) -> None:
    different = set(placed) ^ set(public)
    twice = {name for name in placed if placed.count(name) > 1}
    if different or twice:
        raise ValueError(f"{module}: not on one page each: {', '.join(sorted(different | twice))}")


def _page(title: str, summary: str, groups: Iterator[tuple[str, str, Sequence[str]]]) -> str:
    lines = [f"# {title}", "", summary, ""]
    for heading, module, names in groups:
        lines += [f"## {heading}", ""]
        for name in names:
            lines += [f"::: {module}.{name}", "    options:", "      heading_level: 3", ""]
    return "\n".join(lines)

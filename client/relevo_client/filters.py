"""Which methods something applies to: small predicates that combine.

A filter is a function of a method's full name, `/package.Service/Method`:

    any_of(service("shop.v1.Orders"), prefix("/shop.v1.Admin"))
"""

from collections.abc import Callable

__all__ = [
    "INFRASTRUCTURE",
    "MethodFilter",
    "all_of",
    "any_of",
    "method",
    "not_",
    "prefix",
    "service",
]

MethodFilter = Callable[[str], bool]


def method(name: str) -> MethodFilter:
    """One method, by its full name: `/package.Service/Method`."""
    return lambda called: called == name


def service(name: str) -> MethodFilter:
    """All methods of a service, by its full name: `package.Service`."""
    return prefix(f"/{name}/")


def prefix(text: str) -> MethodFilter:
    """All methods whose full names begin like this: `/package.`."""
    return lambda called: called.startswith(text)


def any_of(*filters: MethodFilter) -> MethodFilter:
    """What at least one of the filters applies to."""
    return lambda called: any(each(called) for each in filters)


def all_of(*filters: MethodFilter) -> MethodFilter:
    """What each of the filters applies to."""
    return lambda called: all(each(called) for each in filters)


def not_(other: MethodFilter) -> MethodFilter:
    """What the other filter does not apply to."""
    return lambda called: not other(called)


INFRASTRUCTURE = any_of(
    service("relevo.v1.ContextStore"),
    service("grpc.health.v1.Health"),
    service("grpc.reflection.v1alpha.ServerReflection"),
    service("grpc.reflection.v1.ServerReflection"),
    service("grpc.channelz.v1.Channelz"),
)
"""Calls about the infrastructure itself, which have no context."""

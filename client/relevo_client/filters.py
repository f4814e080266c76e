"""Filters: predicates that select gRPC methods, and combine.

A filter takes a method's full name, `/package.Service/Method`, and returns a bool:

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
    """Select one method by its full name, such as `/package.Service/Method`."""
    return lambda called: called == name


def service(name: str) -> MethodFilter:
    """Select all methods of a service by its full name, such as `package.Service`."""
    return prefix(f"/{name}/")


def prefix(text: str) -> MethodFilter:
    """Select all methods whose full names begin with `text`, such as `/package.`."""
    return lambda called: called.startswith(text)


def any_of(*filters: MethodFilter) -> MethodFilter:
    """Select the methods that at least one of the filters selects; none without filters."""
    return lambda called: any(each(called) for each in filters)


def all_of(*filters: MethodFilter) -> MethodFilter:
    """Select the methods that every one of the filters selects; all without filters."""
    return lambda called: all(each(called) for each in filters)


def not_(other: MethodFilter) -> MethodFilter:
    """Select the methods that the other filter does not select."""
    return lambda called: not other(called)


INFRASTRUCTURE = any_of(
    service("relevo.v1.ContextStore"),
    service("grpc.health.v1.Health"),
    service("grpc.reflection.v1alpha.ServerReflection"),
    service("grpc.reflection.v1.ServerReflection"),
    service("grpc.channelz.v1.Channelz"),
)
"""Selects the services of the infrastructure, whose calls have no context."""

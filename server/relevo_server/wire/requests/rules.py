"""The rules that requests of several kinds share."""

import math
from collections.abc import Iterable, Iterator
from hashlib import sha256
from itertools import chain
from typing import Protocol

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from relevo_server import errors
from relevo_server.errors import Violation
from relevo_server.keys import part_problem
from relevo_server.revisions import MAX_REVISION
from relevo_server.roles import Role, Scopes
from relevo_server.storage.interface import Once

MAX_BATCH = 100
"""The most Gets of a BatchGet, and the most keys of an Invalidate."""
MAX_REQUEST_ID_BYTES = 128


class Rights(Protocol):
    """A caller, and what it may do."""

    @property
    def name(self) -> str:
        """The principal's name, "" if the server has no principals."""
        ...

    @property
    def readable(self) -> Scopes:
        """The scopes that the caller may read, None for all."""
        ...

    def require(self, tenant_id: str, role: Role, scope: str) -> None:
        """Raise PERMISSION_DENIED if the caller may not use the tenant, or lacks the role there.

        `scope` is the scope that the role is needed for, "" for all.
        """
        ...

    def require_everything(self, role: Role) -> None:
        """Raise PERMISSION_DENIED if the caller lacks a tenant, or the role for a scope."""
        ...


def refuse(violations: Iterable[Violation]) -> None:
    """Raise INVALID_ARGUMENT if there is a violation."""
    found = iter(violations)
    first = next(found, None)
    if first:
        raise errors.invalid(chain([first], found))


def negative_problems(path: str, **numbers: int) -> Iterator[Violation]:
    """The numbers that are negative. Their names are fields of `path`, "" for the request."""
    for field, number in numbers.items():
        if number < 0:
            yield f"{path}{field}", "must not be negative"


def count_problems(field: str, count: int, maximum: int) -> Iterator[Violation]:
    """The broken rule of a field that says how many results to return; 0 stands for the default."""
    if not 0 <= count <= maximum:
        yield field, f"must be from 1 to {maximum}, or 0 for the default"


def part_problems(path: str, **parts: str) -> Iterator[Violation]:
    """The broken rules of parts of a key. Their names are fields of `path`, "" for the request."""
    for field, part in parts.items():
        problem = part_problem(part)
        if problem:
            yield f"{path}{field}", problem


def selector_problems(path: str, tenant_id: str, scope: str) -> Iterator[Violation]:
    """The same for a tenant and one of its scopes, "" for all."""
    yield from part_problems(path, tenant_id=tenant_id)
    if scope:
        yield from part_problems(path, scope=scope)


def request_id_problems(request_id: str) -> Iterator[Violation]:
    """The broken rules of a `request_id`; "" stands for none."""
    if len(request_id.encode()) > MAX_REQUEST_ID_BYTES:
        yield "request_id", f"must have at most {MAX_REQUEST_ID_BYTES} bytes"


def canonical(request: Message) -> bytes:
    """A request serialized in the one form that all requests of this content have."""
    return request.SerializeToString(deterministic=True)


def once_of(request_id: str, canonical: bytes) -> Once | None:
    """Identifies the repetitions of a request; None if it has no `request_id`."""
    return Once(request_id, sha256(canonical).digest()) if request_id else None


def duration_ms(duration: Duration) -> int | None:
    """A duration in milliseconds, rounded up; None if it is negative or malformed."""
    if duration.seconds < 0 or not 0 <= duration.nanos < 1_000_000_000:
        return None
    if duration.seconds > MAX_REVISION // 1000:
        return None
    return duration.seconds * 1000 + math.ceil(duration.nanos / 1_000_000)

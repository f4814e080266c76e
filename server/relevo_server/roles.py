"""Roles: what a caller may do with entries, each for all scopes or some."""

from collections.abc import Iterable, Mapping
from typing import Final, Literal, get_args

from relevo_server.keys import part_problem

Role = Literal["read", "write", "invalidate", "admin"]
READ: Final = "read"
WRITE: Final = "write"
INVALIDATE: Final = "invalidate"
ADMIN: Final = "admin"
ROLES: tuple[Role, ...] = get_args(Role)
DEFAULT: tuple[Role, ...] = (READ, WRITE, INVALIDATE)
"""The roles of a principal for which none are set."""

Scopes = frozenset[str] | None
"""The scopes that a role is for, None for all."""
Grants = Mapping[Role, Scopes]
"""The scopes of each role that somebody has."""
NO_SCOPES: frozenset[str] = frozenset()
ALL_SCOPES = "*"


def parse(text: str) -> tuple[Role, Scopes]:
    """A role and its scopes: `read` and `read:*` are for all scopes, `read:SCOPE` is for one.

    Raises ValueError, without a quotation of the text.
    """
    name, colon, scope = text.partition(":")
    for role in ROLES:
        if name == role:
            break
    else:
        raise ValueError(f"must be {', '.join(ROLES[:-1])} or {ROLES[-1]}, or one with :SCOPE")
    if not colon or scope == ALL_SCOPES:
        return role, None
    problem = part_problem(scope)
    if problem:
        raise ValueError(f"the scope {problem}")
    return role, frozenset([scope])


def merged(grants: Iterable[tuple[Role, Scopes]]) -> Grants:
    """All of these grants together."""
    found: dict[Role, Scopes] = {}
    for role, scopes in grants:
        before = found.get(role, NO_SCOPES)
        found[role] = None if before is None or scopes is None else before | scopes
    return found


def common(one: Grants, other: Grants) -> Grants:
    """The grants that both allow."""
    found: dict[Role, Scopes] = {}
    for role in one.keys() & other.keys():
        first, second = one[role], other[role]
        both = second if first is None else first if second is None else first & second
        if both is None or both:
            found[role] = both
    return found

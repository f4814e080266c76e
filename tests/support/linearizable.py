"""Checks whether the history of one key is linearizable.

It is if an order explains it: each operation takes effect at one moment between its begin
and its end, and returns what a register would return at that moment. The search is Wing
and Gong's, with Lowe's cache of failed configurations (the set of completed operations,
and the register's value): Lowe, "Testing for linearizability", Concurrency and
Computation: Practice and Experience 29(4), 2017.

Versions are not trusted: an answer's value must fit too. But versions must grow in the
order that is found, which leaves few orders to try.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

from support.history import Operation

_NEVER_SEEN = "a value that nobody was told of"


class Register(NamedTuple):
    """The state of the store's entry under the key."""

    value: str | None = None
    version: int = 0
    """The value's version; 0 if there is no value, or if no caller got its version."""
    revision: int = 0
    """The revision of the last write whose revision a caller got."""


def is_linearizable(history: Sequence[Operation]) -> bool:
    """Whether an order explains the history of one key."""
    versions = _versions(history)
    if versions is None:
        return False
    told: list[Operation] = []
    for each in sorted(history, key=lambda each: each.begin):
        if each.outcome != "unknown":
            told.append(each)
        elif each.kind != "get":  # a failed read returns nothing and has no effect
            is_seen = each.kind == "invalidate" or each.value in versions
            told.append(each if is_seen else replace(each, value=_NEVER_SEEN))
    return _search(told, _Store(told, versions))


def _versions(history: Sequence[Operation]) -> dict[str, int] | None:
    """The version of each value, if a caller got it; None if callers got different ones."""
    versions: dict[str, int] = {}
    for each in history:
        is_told = each.outcome == "ok" and each.kind != "invalidate" and each.value is not None
        if is_told and versions.setdefault(str(each.value), each.version) != each.version:
            return None
    return versions


class _Store:
    """The semantics of a register."""

    def __init__(self, history: Sequence[Operation], versions: Mapping[str, int]) -> None:
        self._versions = versions
        self._known = frozenset(versions.values())
        ended = {each.version for each in history if each.kind == "invalidate" and each.version}
        order = [0, *sorted(self._known | ended)]
        self._following = dict(pairwise(order))

    def after(self, register: Register, operation: Operation) -> Register | None:
        """The register after an operation; None if it would have given another answer."""
        match operation.kind:
            case "get":
                same = operation.value == register.value
                return register if same and operation.version in (0, register.version) else None
            case "cas" if operation.outcome == "conflict":
                told = self._may_be(register, operation.version)
                return register if told and not self._is(register, operation.expected) else None
            case "cas" if not self._may_be(register, operation.expected):
                return None
            case "invalidate":
                if operation.outcome == "ok" and operation.count != (register.value is not None):
                    return None
                return self._written(register, None, 0, operation.version)
            case _:
                version = self._versions.get(str(operation.value), 0)
                return self._written(register, operation.value, version, version)

    def _written(
        self, register: Register, value: str | None, version: int, revision: int
    ) -> Register | None:
        """Apply a write. Acknowledged writes must be in the order of their versions."""
        if not revision:
            return Register(value, version, register.revision)
        if revision != self._following.get(register.revision):
            return None
        return Register(value, version, revision)

    def _is(self, register: Register, version: int) -> bool:
        is_known = register.value is None or register.version > 0
        return is_known and register.version == version

    def _may_be(self, register: Register, version: int) -> bool:
        if register.value is None or register.version:
            return register.version == version
        return version > 0 and version not in self._known


def _search(history: Sequence[Operation], store: _Store) -> bool:
    """Search depth-first: try each operation that can be next, and backtrack if it fails."""
    waiting = _Waiting(history)
    needed = sum(1 << i for i, each in enumerate(history) if each.outcome != "unknown")
    register, done = Register(), 0
    twins = _twins(history)
    tried: set[tuple[int, Register]] = set()
    taken: list[tuple[int, Register]] = []
    at = waiting.first()
    while needed & ~done:
        if at is not None:
            after = store.after(register, history[at])
            # An optional operation is tried only when it makes a difference, twins in their order.
            is_idle = history[at].outcome == "unknown" and (after == register or twins[at] & ~done)
            if after is not None and not is_idle and (done | 1 << at, after) not in tried:
                taken.append((at, register))
                waiting.take(at)
                register, done = after, done | 1 << at
                tried.add((done, register))
                at = waiting.first()
            else:
                at = waiting.after(at)
        elif taken:
            at, before = taken.pop()
            done &= ~(1 << at)
            waiting.put_back(at)
            # A mandatory operation without effect is never better done later.
            at = None if before == register else waiting.after(at)
            register = before
        else:
            return False
    return True


def _twins(history: Sequence[Operation]) -> list[int]:
    """For each operation, a bit set with the earlier twin to try instead of it.

    Some operations with an unknown outcome differ only in their begins. They never end,
    so trying them only in that order loses no solution.
    """
    last: dict[Operation, int] = {}
    twins: list[int] = []
    for i, each in enumerate(history):
        twins.append(0)
        if each.outcome == "unknown":
            alike = replace(each, begin=0, end=0)
            twins[i] = last.get(alike, 0)
            last[alike] = 1 << i
    return twins


class _Waiting:
    """The pending operations in the order of their begins.

    They form a linked list, whose nodes are put back in the reverse order of their
    removal. The next operation of an order must begin before any other pending one has
    ended.
    """

    def __init__(self, history: Sequence[Operation]) -> None:
        self._history = history
        end = len(history)
        self._next: list[int] = [*range(1, end + 1), 0]  # the last node is before the first
        self._previous: list[int] = [end, *range(end)]

    def take(self, i: int) -> None:
        """Remove a node."""
        before, after = self._previous[i], self._next[i]
        self._next[before], self._previous[after] = after, before

    def put_back(self, i: int) -> None:
        """Put a node back to its place."""
        before, after = self._previous[i], self._next[i]
        self._next[before] = self._previous[after] = i

    def first(self) -> int | None:
        """The first operation that may be next."""
        return self.after(len(self._history))

    def after(self, i: int) -> int | None:
        """The following operation that may be next, or None."""
        end = len(self._history)
        following = self._next[i]
        if following == end:
            return None
        begin, node = self._history[following].begin, self._next[end]
        while node != following:
            if self._history[node].last < begin:
                return None
            node = self._next[node]
        return following

"""A model of a store and of near caches, which keep every promise or break one on purpose."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count

from relevo_client import ContextKey
from relevo_probe.checker import Checker
from relevo_probe.history import Kind, Part, Read, Source, Write
from relevo_probe.rules import FLOORED_SCOPE, Violation

TENANT = "probe-1"
HEAD, *LAYERS = (ContextKey("relevo_probe", TENANT, name) for name in ("head", "a", "b"))
ENDED, LATE = (ContextKey("relevo_probe", TENANT, name) for name in ("ended", "late"))
FLOORED = ContextKey(FLOORED_SCOPE, TENANT, "floored")
KEYS = (HEAD, *LAYERS, ENDED, LATE, FLOORED)
MAX_STALENESS, CALL_TIMEOUT, TTL = 2.0, 1.0, 30.0

State = dict[ContextKey, tuple[int, int]]
"""The version and the value of each live entry."""


@dataclass
class _Cache:
    name: str
    position: int = 0
    """The number of the log's events that it has applied."""
    as_of: float = 0.0
    own: int = 0
    """The last revision that its own client has written."""
    broken: dict[ContextKey, int] = field(default_factory=dict[ContextKey, int])


class World:
    """One tenant, its writers and readers, and the checker that watches them.

    `fault` names the promise that is broken: "" for none.
    """

    def __init__(self, seed: int, fault: str = "") -> None:
        self.random = random.Random(seed)  # noqa: S311 - to be replayed
        self.now = 100.0
        self.found: list[Violation] = []
        self.checker = Checker(
            max_staleness=MAX_STALENESS, call_timeout=CALL_TIMEOUT, report=self.found.append
        )
        self._fault = fault
        self._due: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = count(1)
        self._revision = 0
        self._log: list[tuple[int, Write]] = []
        self._states: list[State] = [{}]
        self._caches = [_Cache(f"cache {i}", as_of=self.now) for i in range(3)]
        for cache in self._caches:
            self.checker.add_near_cache(cache.name)

    def run(self, steps: int) -> None:
        """Run this many steps."""
        for _ in range(steps):
            self.now += self.random.choice([0.001, 0.01, 0.1])
            while self._due and self._due[0][0] <= self.now:
                heappop(self._due)[2]()
            step = self.random.choices(
                [self._write, self._follow, self._look, self._ask], [5, 10, 20, 10]
            )[0]
            step()

    def _after(self, seconds: float, then: Callable[[], object]) -> None:
        heappush(self._due, (self.now + seconds, next(self._numbers), then))

    def _write(self) -> None:
        key = self.random.choice(KEYS)
        value, by = 0, self.random.choice(["", "cache 0"])
        kind: Kind = "put"
        if key == ENDED and self.random.random() < 0.5:
            kind = "invalidate"
        elif key == FLOORED and self.random.random() < 0.5:
            kind = "floor"
        else:
            value = next(self._numbers)
        is_void = key == LATE and self.random.random() < 0.5
        write = Write(kind, key, self.now, value, TTL, is_void=is_void, writer=by)
        self.checker.begin(write)
        outcome = self.random.choices(["ok", "unknown", "lost", "refused"], [20, 1, 1, 1])[0]
        if is_void and self._fault != "late write":
            outcome = "refused"
        takes = self.random.choice([0.001, 0.05, 0.3])
        match outcome:
            case "ok":
                self._after(takes, lambda: self._take_effect(write, takes))
            case "unknown":  # it takes effect after its caller has given up
                self._after(CALL_TIMEOUT, lambda: self.checker.fail(write, self.now))
                self._after(CALL_TIMEOUT + takes, lambda: self._apply(write))
            case "lost":
                self._after(CALL_TIMEOUT, lambda: self.checker.fail(write, self.now))
            case _:
                self._after(takes, lambda: self.checker.fail(write, self.now, is_refused=True))

    def _take_effect(self, write: Write, takes: float) -> None:
        revision = self._apply(write)
        self._after(takes, lambda: self._answer(write, revision))

    def _answer(self, write: Write, revision: int) -> None:
        self.checker.acknowledge(write, revision, self.now)
        for cache in self._caches:
            if cache.name == write.writer:
                cache.own = max(cache.own, revision)

    def _apply(self, write: Write) -> int:
        reused = self._fault == "version reused" and self._log and self.random.random() < 0.1
        self._revision += 0 if reused else self.random.randint(1, 3)
        state = dict(self._states[-1])
        if write.kind == "put":
            state[write.key] = self._revision, write.value
        elif self._fault == "resurrected" and self.random.random() < 0.5:
            pass
        else:
            state.pop(write.key, None)
        if self._fault == "lost write" and self.random.random() < 0.1:
            state.pop(HEAD, None)
        self._log.append((self._revision, write))
        self._states.append(state)
        return self._revision

    def _follow(self) -> None:
        """Let a near cache follow the log, now and then to its end."""
        cache = self.random.choice(self._caches)
        if self._fault == "skipped event" and self.random.random() < 0.05:
            cache.broken[self.random.choice(KEYS)] = cache.position
        if self.random.random() < 0.5:
            cache.position, cache.as_of = len(self._log), self.now
        else:
            cache.position = min(len(self._log), cache.position + 1)

    def _look(self) -> None:
        """Ask a near cache."""
        cache = self.random.choice(self._caches)
        fence = self._fence()
        at = self._log[cache.position - 1][0] if cache.position else 0
        if self.now - cache.as_of >= MAX_STALENESS and self._fault != "stale after silence":
            return
        if at < max(fence, cache.own) and self._fault != "fence ignored":
            return
        keys = self.random.choice([(HEAD, *LAYERS), (ENDED,), (LATE,), (FLOORED,)])
        states = {key: self._states[cache.broken.get(key, cache.position)] for key in keys}
        if self._fault == "torn composition" and cache.position > 1:
            states[LAYERS[0]] = self._states[cache.position - 2]
        if self._fault == "older value" and self.random.random() < 0.05:
            states = dict.fromkeys(keys, self._states[max(0, cache.position - 3)])
        self._answered(cache.name, "near_cache", states, fence)

    def _ask(self) -> None:
        """Ask the store, or a server's memory with a fence."""
        fence = self._fence()
        keys = self.random.choice([(HEAD, *LAYERS), (ENDED,), (LATE,), (FLOORED,)])
        source: Source = "store"
        state = self._states[-1]
        if fence and self.random.random() < 0.5:
            source = "server"
            reached = [revision for revision, _ in self._log]
            later = [s for r, s in zip(reached, self._states[1:], strict=True) if r >= fence]
            state = self.random.choice(later)
        elif self._fault == "stale store" and len(self._states) > 3:
            state = self._states[-3]
        self._answered("store", source, dict.fromkeys(keys, state), fence)

    def _fence(self) -> int:
        known = self.checker.fence(TENANT)
        return self.random.choice([0, known, max(0, known - 2)])

    def _answered(
        self,
        reader: str,
        source: Source,
        states: dict[ContextKey, State],
        fence: int,
    ) -> None:
        parts = [Part(key, *state.get(key, (0, None))) for key, state in states.items()]
        if len(parts) > 1 and not all(part.version for part in parts):
            if source == "near_cache":
                return  # the store has to say whether a layer is missing
            parts = [next(part for part in parts if not part.version)]
        parts = [part._replace(shown=part.value) for part in parts]
        revision = max(fence, *(part.version for part in parts)) if parts[0].version else 0
        read = Read(reader, source, self.now, self.now, tuple(parts), fence, revision)
        self.checker.observe(read)

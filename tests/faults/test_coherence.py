"""The parts of a composed context existed together, although a server stops and continues."""

import asyncio
import itertools
import signal
import threading
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import pytest
from relevo_client import (
    AsyncContextClient,
    ContextClient,
    ContextEntry,
    ContextKey,
    ExecutionContext,
    IncompleteContextError,
)
from support.redis.process import RedisProcess
from support.servers.process import RelevoProcess, relevo_serve

READS = 100_000
STATES = 500
"""The states that the readers of each kind have to see."""
STOPS = 8
STOPPED = 0.25
"""Seconds that the server is stopped; cached entries are trusted for longer."""
A, B = (ContextKey("layer", "acme", name) for name in "ab")
HEAD = ContextKey("conversation", "acme", "head")
GROWING = ContextKey("conversation", "acme", "growing")
"""It includes ever new layers, each of which exists before it is included."""


class Span(NamedTuple):
    """The first and the last number of the writes between which a state was current."""

    first: int
    last: int


@dataclass
class History:
    """Every acknowledged write of one writer, in order."""

    writes: list[tuple[ContextKey, int]] = field(default_factory=list[tuple[ContextKey, int]])

    def spans(self) -> dict[tuple[ContextKey, int], Span]:
        """The span of each version of each key."""
        spans: dict[tuple[ContextKey, int], Span] = {}
        current: dict[ContextKey, int] = {}
        for number, (key, version) in enumerate(self.writes):
            if key in current:
                before = key, current[key]
                spans[before] = Span(spans[before].first, number)
            current[key] = version
            spans[key, version] = Span(number, len(self.writes) + 1)
        return spans


State = tuple[tuple[ContextKey, int], ...]


@dataclass
class Seen:
    """The states that a reader has seen. Readers of one kind have `states` in common."""

    states: set[State]
    reads: int = 0
    incomplete: list[str] = field(default_factory=list[str])
    different: list[str] = field(default_factory=list[str])

    def state(self, entry: ContextEntry) -> bool:
        """Record a read. Returns whether its state is new to all readers of the kind."""
        self.reads += 1
        state = tuple((each.key, each.version) for each in (entry, *entry.layers))
        is_new = state not in self.states
        self.states.add(state)
        return is_new

    def snapshot(self, entry: ContextEntry, snapshot: ContextEntry) -> None:
        """Record a snapshot that differs from its entry."""
        expected = entry.context.update(includes=(), composed_from=snapshot.context.composed_from)
        found = snapshot.context.update(created_at=expected.created_at, updated_at=None)
        if found != expected.update(updated_at=None):
            self.different.append(f"{snapshot.key} of {entry.key}@{entry.version}")


def of(number: int, *includes: ContextKey) -> ExecutionContext:
    """A context with the number of its write."""
    return ExecutionContext(metadata={f"m{number % 3}": number}, includes=includes)


async def write(store: AsyncContextClient, history: History, is_over: asyncio.Event) -> None:
    """Write A, B, A to the layers, and add a new layer to the growing entry."""
    for number in itertools.count():
        new = ContextKey("layer", "acme", f"new-{number}")
        for key, context in (
            (A, of(number)),
            (B, of(number)),
            (A, of(number + 1)),
            (GROWING, of(number, A)),
            (new, of(number)),
            (GROWING, of(number, new)),
        ):
            history.writes.append((key, (await store.put(key, context)).revision))
        if is_over.is_set():
            return
        await asyncio.sleep(0.002)


async def read(client: AsyncContextClient, seen: Seen, is_over: asyncio.Event) -> None:
    """Resolve without a fence. One reader of each new state takes a snapshot of it."""
    while not is_over.is_set():
        for key in (HEAD, GROWING):
            try:
                entry = await client.resolve(key)
                if seen.state(entry):
                    taken = await client.snapshot(entry)
                    seen.snapshot(entry, await client.resolve(taken.ref))
            except IncompleteContextError as error:
                seen.incomplete.append(str(error))
        await asyncio.sleep(0)


def read_blocking(client: ContextClient, seen: Seen, is_over: threading.Event) -> None:
    """`read` in a thread."""
    while not is_over.is_set():
        for key in (HEAD, GROWING):
            try:
                entry = client.resolve(key)
                if seen.state(entry):
                    taken = client.snapshot(entry)
                    seen.snapshot(entry, client.resolve(taken.ref))
            except IncompleteContextError as error:
                seen.incomplete.append(str(error))


@asynccontextmanager
async def reading(addresses: Sequence[str], seen: Sequence[Seen]) -> AsyncGenerator[None, None]:
    """Four asyncio clients and two blocking ones, spread over the servers."""
    is_over, is_over_blocking = asyncio.Event(), threading.Event()
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        places = itertools.cycle(addresses)
        for each in seen[:4]:
            client = AsyncContextClient(next(places), timeout=10)
            group.create_task(read(await stack.enter_async_context(client), each, is_over))
        for each in seen[4:]:
            blocking = stack.enter_context(ContextClient(next(places), timeout=10))
            group.create_task(asyncio.to_thread(read_blocking, blocking, each, is_over_blocking))
        try:
            yield
        finally:
            is_over.set()
            is_over_blocking.set()


async def stop_and_continue(server: RelevoProcess, seen: Sequence[Seen]) -> None:
    """Stop and continue the server, until it was stopped and read often enough."""
    for number in itertools.count():
        reads, states = sum(each.reads for each in seen), min(len(each.states) for each in seen)
        if number >= STOPS and reads >= READS and states >= STATES:
            return
        server.signal(signal.SIGSTOP)
        await asyncio.sleep(STOPPED)  # all writes in the meantime are read from the log at once
        server.signal(signal.SIGCONT)
        await asyncio.sleep(STOPPED)


@pytest.mark.timeout(600)  # its amount of work is fixed: about 30 s of CPU
async def test_compositions_are_whole(redis: RedisProcess) -> None:
    """No read is torn or incomplete, and no snapshot differs from its entry (2, 6, N9)."""
    history, is_over = History(), asyncio.Event()
    asynchronous, blocking = set[State](), set[State]()
    seen = [Seen(asynchronous) for _ in range(4)] + [Seen(blocking) for _ in range(2)]
    with (
        relevo_serve("--store", redis.url) as stopped,
        relevo_serve("--store", redis.url) as other,
    ):
        async with AsyncContextClient(other.address, timeout=10, cache=None) as owner:
            for key, context in ((A, of(0)), (B, of(0)), (HEAD, of(0, A, B)), (GROWING, of(0, A))):
                history.writes.append((key, (await owner.put(key, context)).revision))
            writing = asyncio.create_task(write(owner, history, is_over))
            async with reading([stopped.address, other.address], seen):
                await stop_and_continue(stopped, seen)
            is_over.set()
            await writing
    spans = history.spans()
    states = asynchronous | blocking
    torn = [state for state in states if not is_whole([spans[part] for part in state])]
    reads = sum(each.reads for each in seen)
    print(f"{reads} reads of {len(states)} states, {len(history.writes)} writes")
    assert (torn, [e for each in seen for e in each.incomplete]) == ([], [])
    assert [d for each in seen for d in each.different] == []
    assert reads >= READS
    assert min(len(asynchronous), len(blocking)) >= STATES


def is_whole(spans: Sequence[Span]) -> bool:
    """Whether there was a moment at which all versions were current."""
    return max(span.first for span in spans) < min(span.last for span in spans)

"""The probe: its clients, its threads, and how a run begins and ends."""

import asyncio
import sys
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, PriorityQueue

import grpc
from relevo_client import AsyncContextClient, CacheOptions, ContextClient, UnavailableError

from relevo_probe.attention import Attention
from relevo_probe.canaries import Canaries, room_for
from relevo_probe.looking import NearCacheReader
from relevo_probe.metrics import Metrics
from relevo_probe.near_caches import AsyncNearCaches, Looks
from relevo_probe.partitions import tenants_of
from relevo_probe.record import Record
from relevo_probe.rounds import WRITTEN_TOGETHER, Rounds, Writer
from relevo_probe.rules import Violation
from relevo_probe.summary import Summary
from relevo_probe.tenants import Tenants

_WRITERS = 2
"""Threads that write."""
_ROUND = 27
"""The writes of a round, on average."""
_TURN = 0.0002
"""Seconds after which a thread lets another one run."""
_IDLE = 0.25
"""Seconds after which a thread that writes looks again whether there is something to do."""
_SHORTEST_TTL = 60.0
"""Seconds for which canaries live at least: much longer than it takes to show them."""


@dataclass(frozen=True)
class Options:
    """What is probed, and how gently."""

    targets: Sequence[str]
    """The servers, as gRPC targets. All serve one store."""
    credentials: grpc.ChannelCredentials | None = None
    """For TLS channels; None for channels that are not encrypted."""
    token: str | None = field(default=None, repr=False)
    """The bearer token."""
    token_file: Path | None = None
    """A file with the bearer token, instead of `token`; it is read again when it changes."""
    insecure_token: bool = False
    """Whether the token may travel beyond this host without TLS."""
    timeout: float = 2.0
    """Seconds that one call may take, with its retries."""
    tenant: str = "relevo-probe"
    """What the names of the probe's tenants begin with."""
    partitions: int | None = None
    """The store's number of partitions; None: the probe finds it out."""
    rate: float = 1.0
    """Writes a second to one partition, at most."""
    max_rate: float = 100.0
    """Writes a second to all partitions together, at most."""
    max_staleness: float = 2.0
    """The bound of the probe's near caches, in seconds."""
    wait: float = 10.0
    """Seconds for which the probe tries to reach the store at first."""


class Probe:
    """One run.

    Args:
        options: what is probed.
        metrics: the instruments; by default those of the global meter provider.
        on_violation: is called with each violation, by any thread.

    """

    def __init__(
        self,
        options: Options,
        *,
        metrics: Metrics | None = None,
        on_violation: Callable[[Violation], None] = lambda _: None,
    ) -> None:
        self._options = options
        self._on_violation = on_violation
        self._run = uuid.uuid4().hex[:12]
        self._attention = Attention()
        self._began = time.monotonic()
        self._tenants: Sequence[str] = ()
        self.record = Record(
            max_staleness=options.max_staleness,
            call_timeout=options.timeout,
            metrics=metrics or Metrics(),
            on_violation=self._violated,
        )
        """What has been written, read and found so far."""
        self.violated = threading.Event()
        """Set with the first violation."""

    def stop(self) -> None:
        """Make `run` return soon."""
        self._attention.stop()

    def run(
        self,
        seconds: float | None = None,
        *,
        stop_at_violation: bool = False,
        progress: Callable[[Summary], None] = lambda _: None,
        every: float = 1.0,
    ) -> Summary:
        """Probe for so many seconds, or until `stop` is called.

        `progress` is called every so many seconds with the counts so far. Raises NoTenantError if
        the caller may not use the probe's tenants, and other errors of the client but
        UnavailableError if the store refuses the first calls.
        """
        self._began, interval = time.monotonic(), sys.getswitchinterval()
        end = float("inf") if seconds is None else self._began + seconds
        with ExitStack() as stack:
            # What happens between two messages is seen only if threads take turns quickly.
            sys.setswitchinterval(_TURN)
            stack.callback(sys.setswitchinterval, interval)
            plain = [stack.enter_context(self._blocking(each)) for each in self._options.targets]
            try:
                self._tenants = self._find(plain[0])
            except UnavailableError as error:
                self.record.fail(error)
                return self.summary()
            if self._attention.is_over:
                return self.summary()
            threads = _Threads(self._attention.stop)
            try:
                self._start(plain, threads, stack)
                while time.monotonic() < end and not self._attention.is_over:
                    self._attention.wait_for_end(min(every, end - time.monotonic()))
                    if stop_at_violation and self.violated.is_set():
                        break
                    progress(self.summary())
            finally:
                self._attention.stop()
                threads.join()
        return self.summary()

    def summary(self) -> Summary:
        """The counts so far."""
        record = self.record
        return Summary(
            seconds=time.monotonic() - self._began,
            partitions=len(self._tenants),
            writes=record.writes,
            answers=dict(record.answers),  # a copy: threads go on counting
            checks=record.checks,
            violations=record.violations,
            found=[(each.at - self._began, each) for each in record.found],
            staleness=record.staleness,
            failures=dict(record.failures),
        )

    def _find(self, client: ContextClient) -> Sequence[str]:
        options = self._options
        tenants = Tenants(client, self._run, self._attention, within=options.wait)
        if options.partitions is None:
            found = tenants.find(options.tenant)
        else:
            found = list(tenants_of(options.tenant, options.partitions).values())
        tenants.must_be_usable(found)
        return found

    def _start(self, plain: Sequence[ContextClient], threads: "_Threads", stack: ExitStack) -> None:
        options, record, attention = self._options, self.record, self._attention
        canaries = [Canaries(tenant, self._run) for tenant in self._tenants]
        writers = [Writer(client) for client in plain]
        askers = [stack.enter_context(self._blocking(each, room=1)) for each in options.targets]
        for number, target in enumerate(options.targets):
            client = stack.enter_context(self._blocking(target, room=room_for(canaries)))
            reader = NearCacheReader(f"blocking {number}", client, record)
            record.add_near_cache(reader.name)
            writers.append(Writer(client, reader))
            threads.start(reader.name, Looks(reader, canaries, record, attention).run)
        near_caches = AsyncNearCaches(
            self._asyncio,
            len(options.targets),
            canaries,
            record,
            attention,
            options.max_staleness,
        )
        threads.start("asyncio", lambda: asyncio.run(near_caches.run()))
        rate = min(options.rate, options.max_rate / len(canaries))
        ttl = max(_SHORTEST_TTL, 10 * _ROUND / rate)
        threads_of_rounds = ThreadPoolExecutor(_WRITERS * WRITTEN_TOGETHER, "relevo-probe-round")
        helpers = stack.enter_context(threads_of_rounds)
        rounds = [
            Rounds(each, writers, askers, record, attention, ttl, helpers) for each in canaries
        ]
        schedule = _Schedule(rounds, rate, attention)
        for number in range(min(_WRITERS, len(canaries))):
            threads.start(f"writer {number}", schedule.run)

    def _blocking(self, target: str, *, room: int = 0) -> ContextClient:
        """A client with a near cache for so many entries; without one for 0."""
        options = self._options
        return ContextClient(
            target,
            credentials=options.credentials,
            token=options.token,
            token_file=options.token_file,
            insecure_token=options.insecure_token,
            timeout=options.timeout,
            cache=self._cache(room) if room else None,
        )

    def _asyncio(self, server: int, room: int) -> AsyncContextClient:
        options = self._options
        return AsyncContextClient(
            options.targets[server],
            credentials=options.credentials,
            token=options.token,
            token_file=options.token_file,
            insecure_token=options.insecure_token,
            timeout=options.timeout,
            cache=self._cache(room),
        )

    def _cache(self, room: int) -> CacheOptions:
        return CacheOptions(max_staleness=self._options.max_staleness, max_entries=room)

    def _violated(self, violation: Violation) -> None:
        self.violated.set()
        self._on_violation(violation)


class _Schedule:
    """When which tenant's next round is due. Any number of threads run it."""

    def __init__(self, rounds: Sequence[Rounds], rate: float, attention: Attention) -> None:
        self._rate = rate
        self._attention = attention
        self._due = PriorityQueue[tuple[float, int, Rounds]]()
        # The first rounds come soon, so that near caches have something to show.
        spread = min(2.0, _ROUND / rate) / len(rounds)
        now = time.monotonic()
        for number, each in enumerate(rounds):
            self._due.put((now + number * spread, number, each))

    def run(self) -> None:
        """Run rounds when they are due, until the run is over."""
        while not self._attention.is_over:
            try:
                due, number, rounds = self._due.get(timeout=_IDLE)
            except Empty:  # the other threads have all of them
                continue
            self._attention.wait_for_end(due - time.monotonic())
            if self._attention.is_over:
                return
            began = time.monotonic()
            self._due.put((began + rounds.run() / self._rate, number, rounds))


class _Threads:
    """Threads that end together: if one fails, `stop` is called, and `join` raises its error."""

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop = stop
        self._threads: list[threading.Thread] = []
        self._errors: list[BaseException] = []

    def start(self, name: str, function: Callable[[], object]) -> None:
        """Start a thread."""
        thread = threading.Thread(
            target=self._run, args=(function,), name=f"relevo-probe-{name}", daemon=True
        )
        self._threads.append(thread)
        thread.start()

    def join(self) -> None:
        """Wait for all threads to end. Raises the first error of one."""
        for thread in self._threads:
            thread.join()
        for error in self._errors:
            raise error

    def _run(self, function: Callable[[], object]) -> None:
        try:
            function()
        except BaseException as error:  # noqa: BLE001 - raised by `join`
            self._errors.append(error)
            self._stop()

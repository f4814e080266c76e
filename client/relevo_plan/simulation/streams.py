"""The model of a client's Watch stream, as it is opened and subscribes to keys."""

from random import Random

from relevo_plan.simulation.cluster import Call, Cluster, Setup
from relevo_plan.simulation.kernel import Action, Kernel, Queue


class Stream:
    """A near cache's stream to one worker. The near cache has a core of its own."""

    def __init__(
        self, cluster: Cluster, setup: Setup, kernel: Kernel, random: Random, worker: int
    ) -> None:
        self._cluster, self._setup, self._kernel, self._random = cluster, setup, kernel, random
        self._worker = worker
        self._loop = Queue(kernel)
        self._missing = 0

    def reopen(self, entries: int, current: Action) -> None:
        """Open the stream after the first pause of the backoff, and subscribe to keys."""
        costs = self._setup.costs
        opening = Call(costs.open_stream, None)

        def begin() -> None:
            self._cluster.call(opening, lambda: self.subscribe(entries, current), self._worker)

        self._kernel.after(self._pause(costs.first_pause), begin)

    def subscribe(self, entries: int, current: Action) -> None:
        """Subscribe to keys, slice by slice. `current` is run once all are answered."""
        self._missing = entries
        self._send(entries, current)

    def _send(self, left: int, current: Action) -> None:
        costs = self._setup.costs
        number = min(left, int(costs.slice))
        reading = Call(number * costs.answer, costs.redis_get)

        def answered() -> None:
            self._loop.do(number * costs.cache_entry / 2, applied)

        def applied() -> None:
            self._missing -= number
            if not self._missing:
                current()

        def sent() -> None:
            self._cluster.call(reading, answered, self._worker)
            if left > number:
                pause = self._pause(costs.slice_pause) + costs.timer
                self._kernel.after(pause, lambda: self._send(left - number, current))

        self._loop.do(number * costs.cache_entry / 2, sent)

    def _pause(self, seconds: float) -> float:
        return seconds * self._random.uniform(0.5, 1.5)

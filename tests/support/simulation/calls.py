"""Calls between the processes of a simulated world: references go forwards, fences come back."""

from collections.abc import Callable, Mapping

from relevo_client import ContextEntry, ContextKey, ContextRef, NotFoundError
from relevo_client._context.fences import Fences
from relevo_client._near_cache.state import ABSENT
from relevo_server.keys import Key

from support.simulation.store import HEAD, KEYS, LAYER, TENANT
from support.simulation.world import Client, World

_READ = [*KEYS[:3], LAYER]
"""The keys that calls use: few enough to stay in the caches."""
_OPEN = 8
"""The most calls that are open at a time."""


class Call:
    """A call that a process serves, or with `caller` None a request that begins there."""

    def __init__(self, client: Client, caller: "Call | None", fences: Fences) -> None:
        self.client = client
        self.caller = caller
        self.fences = fences
        self.known: int = caller.known if caller else 0
        """The newest revision that it, its caller before it, or a callee that has answered it has
        written or seen: the rule, which knows nothing of fences."""


Answer = Callable[[Fences, Fences], None]
"""Takes a callee's fences back to its caller's."""


def answer(caller: Fences, callee: Fences) -> None:
    """Take the fence of a call back to its caller, as trailing metadata does."""
    revision = callee.risen()
    if revision:
        caller.rise(TENANT, revision)


class WorldOfCalls(World):
    """A world whose processes call each other, and read and write meanwhile.

    The arguments after the seed are its parts.
    """

    def __init__(
        self,
        seed: int,
        make_fences: Callable[[ContextRef], Fences] = Fences,
        answer: Answer = answer,
    ) -> None:
        super().__init__(seed)
        self._make_fences = make_fences
        self._answer = answer
        self._calls: list[Call] = []
        self.answered = 0
        """How many calls have taken a newer revision back."""

    def _lose(self, number: int) -> None:
        super()._lose(number)
        self._calls.clear()  # they know of revisions that never were

    def _step(self, rates: Mapping[str, int]) -> None:
        super()._step(rates)
        if self.random.random() < 0.3:
            self._act()

    def _act(self) -> None:
        random_ = self.random
        if not self._calls or random_.random() < 0.1:
            self._begin(random_.choice(self.clients), None)
            return
        call = random_.choice(self._calls)
        match random_.choices(["read", "write", "call", "end"], [40, 2, 8, 8])[0]:
            case "read":
                self._read(call, random_.choice(_READ))
            case "write":
                self._write_in(call)
            case "call":
                self._begin(random_.choice(self.clients), call)
            case _:
                self._end(call)

    def _begin(self, client: Client, caller: Call | None) -> None:
        if len(self._calls) < _OPEN:
            ref = ContextRef(ContextKey(*HEAD))
            fences = self._make_fences(caller.fences.raised(ref) if caller else ref)
            self._calls.append(Call(client, caller, fences))

    def _end(self, call: Call) -> None:
        self._calls.remove(call)
        if call.caller in self._calls:
            self._answer(call.caller.fences, call.fences)
            self.answered += call.fences.risen() > 0
            call.caller.known = max(call.caller.known, call.known)

    def _write_in(self, call: Call) -> None:
        write = self.random.choices([self.store.put, self.store.invalidate], [4, 1])[0]
        write(self.random.choice(_READ))
        call.known = call.client.written = self.store.reached
        call.client.cache.record_write(TENANT, self.store.reached, self.now)
        call.fences.rise(TENANT, self.store.reached)

    def _read(self, call: Call, key: Key) -> None:
        """Read an entry: from the near cache if it may serve, else from the store."""
        ref = call.fences.raised(ContextRef(ContextKey(*key)))
        at_least = max(call.known, call.client.written)
        try:
            found = self._resolve_from(call.client.cache, ref, self.now)
        except NotFoundError:
            self._rules.check(key, ABSENT, at_least)
            return
        if found is None:
            stored = self.store.contexts.get(key)
            if stored:
                call.known = max(call.known, stored.version)
                call.fences.rise(TENANT, stored.version)
            return
        self.served += 1
        for part in (found, *found.layers):
            part_key = Key(part.key.scope, part.key.tenant_id, part.key.id)
            self._rules.check(part_key, part.version, at_least)
        call.known = max(call.known, *_versions(found))
        call.fences.see(found)


def _versions(entry: ContextEntry) -> list[int]:
    return [entry.version, *(layer.version for layer in entry.layers)]

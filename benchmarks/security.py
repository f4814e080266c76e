"""The cost of knowing callers, of limiting tenants, of signing and of encrypting.

`get` and `put` measure servers on one Redis, side by side (benchmarks/variants.py). The baseline
`open` knows nobody, limits nothing in the store, and neither signs nor encrypts.

- `token`: one principal with a bearer token, for all tenants. `roles`: eight tenants, and roles for
  some scopes.
- `jwt`: an issuer whose token the calls show.
- `quotas`: the entries and bytes of each tenant are counted and limited in Redis.
- `signing`: references in answers are signed. `encryption`: values are encrypted before Redis.
- `all`: the JWT, quotas, signing and encryption together.

Servers are started anew several times, because the ratio differs by 2 % from one start to the next.

`call` measures a unary call that carries its context: `trusting` accepts every reference, `signed`
only those with a signature, which it verifies. CPU is that of both sides together.
"""

from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
from grpc import aio
from relevo_client import ContextEntry, aio_context_channel, use_context
from relevo_server.keys import Key
from relevo_server.service.signing import Signer
from support.entries import entry_of

from benchmarks import samples, servers
from benchmarks.calls import fill, path
from benchmarks.figures import Figure, Goal, compare
from benchmarks.http2 import connected
from benchmarks.rounds import Contender, Sample, Schedule, closed_loop, take_turns
from benchmarks.run import Run
from benchmarks.service import METHOD, SIGNING_KEYS
from benchmarks.variants import Variant, variants

IN_FLIGHT = (1, 20)
GET = Goal("cpu", at_most=1.05)
_STARTS = 4
"""The starts of each server."""
_TURN = 0.75
"""The factor by which a turn is shorter here, because there are many contenders."""
_CALL_STARTS = 3
_CALL_TURN = 2
"""The factor by which a turn of calls is longer, because the difference is a few per cent."""
_REVISION = 1_750_000_000_000 << 20


async def get(run: Run) -> list[Figure]:
    """The figures of Gets."""
    return await _stores(run, "Get", samples.get_requests, {"token": GET})


async def put(run: Run) -> list[Figure]:
    """The figures of Puts."""
    return await _stores(run, "Put", samples.put_requests, {})


async def call(run: Run) -> list[Figure]:
    """The figures of calls that carry a context."""
    schedule = _part_of(run.schedule, _CALL_STARTS, _CALL_TURN)
    taken: _Taken = defaultdict(lambda: defaultdict(list))
    for start in range(_CALL_STARTS):
        async with AsyncExitStack() as stack:
            contenders = [
                await stack.enter_async_context(_service(run, name, side))
                for name, side in (("trusting", "relevo"), ("signed", "relevo+signed"))
            ]
            what = f"Call, start {start + 1} of {_CALL_STARTS}"
            with use_context(_signed_entry()):
                await _measure(taken, contenders, schedule, what)
    return _figures("Security/call", taken, "trusting", {})


_Taken = dict[int, dict[str, list[Sample]]]
"""Samples by the number of calls in flight, and by contender."""


async def _stores(
    run: Run,
    method: str,
    requests: Callable[[], Iterator[bytes]],
    goals: Mapping[str, Goal],
) -> list[Figure]:
    schedule = _part_of(run.schedule, _STARTS, _TURN)
    taken: _Taken = defaultdict(lambda: defaultdict(list))
    with TemporaryDirectory() as folder:
        told = variants(Path(folder))
        for start in range(_STARTS):
            async with AsyncExitStack() as stack:
                contenders: list[Contender] = []
                for name, variant in told.items():
                    prefix = f"{run.prefix}-{name}-{start}"
                    made = _store(run, name, variant, prefix, method, requests)
                    contenders.append(await stack.enter_async_context(made))
                what = f"{method}, start {start + 1} of {_STARTS}"
                await _measure(taken, contenders, schedule, what)
    return _figures(f"Security/{method}", taken, "open", goals)


@asynccontextmanager
async def _store(
    run: Run,
    name: str,
    variant: Variant,
    prefix: str,
    method: str,
    requests: Callable[[], Iterator[bytes]],
) -> AsyncGenerator[Contender]:
    with servers.relevo(run.redis, prefix, run.cores, *variant.flags) as server:
        await fill(server.address, variant.metadata)
        async with connected(server.address, variant.metadata) as client:
            yield Contender(name, partial(client.load, path(method), requests()), server.cpu)


@asynccontextmanager
async def _service(run: Run, name: str, side: str) -> AsyncGenerator[Contender]:
    own = psutil.Process()
    with servers.service(side, run.cores) as server:
        async with aio_context_channel(aio.insecure_channel(server.address)) as channel:
            untyped: Any = channel
            method: Any = untyped.unary_unary(METHOD)

            def used() -> float:
                times = own.cpu_times()
                return times.user + times.system + server.cpu()

            yield Contender(name, closed_loop(lambda: method(b"question")), used)


async def _measure(
    taken: _Taken, contenders: Sequence[Contender], schedule: Schedule, what: str
) -> None:
    for in_flight in IN_FLIGHT:
        found = await take_turns(contenders, in_flight=in_flight, schedule=schedule, what=what)
        for name, samples_of_start in found.items():
            taken[in_flight][name] += samples_of_start


def _figures(what: str, taken: _Taken, baseline: str, goals: Mapping[str, Goal]) -> list[Figure]:
    figures: list[Figure] = []
    for in_flight, by_name in taken.items():
        figures += compare(
            *(what, by_name),
            baseline=baseline,
            in_flight=in_flight,
            goals=goals if in_flight > 1 else None,
        )
    return figures


def _part_of(schedule: Schedule, starts: int, turn: float) -> Schedule:
    """The schedule of one start of several."""
    return replace(schedule, rounds=-(-schedule.rounds // starts), seconds=schedule.seconds * turn)


def _signed_entry() -> ContextEntry:
    """An entry whose reference the store has signed."""
    entry = entry_of("someone", revision=_REVISION)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "reference.keys"
        file.write_text(SIGNING_KEYS, "utf-8")
        signature = Signer(file, 21_600).sign(
            Key(entry.key.scope, entry.key.tenant_id, entry.key.id), entry.version
        )
    return replace(entry, signature=signature)

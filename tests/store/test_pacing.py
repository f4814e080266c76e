"""Pacing: a caller that repeats refused calls without a pause waits for its refusals."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Self

import pytest
from relevo.v1.store_pb2 import Subscribe, WatchRequest
from relevo_server import errors
from relevo_server.errors import RETRY_DELAY
from relevo_server.quotas import Quota, Quotas
from relevo_server.service import admission, pacing, subscribing
from relevo_server.service.pacing import DeclinedPace, Pacing
from relevo_server.settings import Settings
from support.clients.calls import get, key, put
from support.failures import failure_of
from support.manual_clock import ManualClock
from support.servers.serving import serving_from
from support.servers.storages import GatedStorage
from support.waiting import until_async

AT_ONCE = int(pacing.AT_ONCE)
SIZE = 2000


@pytest.fixture
def clock() -> ManualClock:
    """A clock that the test moves on."""
    return ManualClock()


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refusals that wait do so until they are cancelled."""
    monkeypatch.setattr(pacing, "RETRY_DELAY", 3600.0)


def refusal(tenant_id: str = "", principal: str = "") -> Exception:
    """A refusal by a quota."""
    return errors.quota_exceeded(Quota.WRITES, 1, tenant_id=tenant_id, principal=principal)


class Refused:
    """Calls that are refused at the same time."""

    def __init__(self, paced: Pacing) -> None:
        self._paced = paced
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def held(
        self, count: int, error: Exception, *, size: int = SIZE, left: float | None = None
    ) -> int:
        """Refuse so many calls, and return how many of them have to wait."""
        tasks = [asyncio.create_task(self._paced.before(error, size, left)) for _ in range(count)]
        self._tasks += tasks
        await asyncio.sleep(0)
        return sum(not task.done() for task in tasks)


@pytest.mark.usefixtures("slow")
async def test_some_refusals_a_second_are_answered_at_once(clock: ManualClock) -> None:
    """Each tenant, and each principal, has refusals of its own that do not wait.

    They come back as time passes.
    """
    paced = Pacing(clock)
    async with Refused(paced) as refused:
        acme = refusal("acme")
        assert await refused.held(AT_ONCE + 7, acme) == 7
        assert await refused.held(AT_ONCE, refusal("globex")) == 0
        assert await refused.held(AT_ONCE + 1, refusal(principal="one")) == 1
        clock.now += 0.5
        assert await refused.held(AT_ONCE, acme) == AT_ONCE / 2
        assert paced.held == 7 + 1 + AT_ONCE / 2
    assert paced.held == 0


@pytest.mark.usefixtures("slow")
async def test_what_waits_is_bounded(clock: ManualClock) -> None:
    """So many refusals wait, with so many bytes of requests; beyond these none does."""
    for size, most in ((SIZE, pacing.MAX_HELD), (1 << 20, pacing.MAX_BYTES >> 20)):
        async with Refused(Pacing(clock)) as refused:
            assert await refused.held(AT_ONCE + 2 * most, refusal("acme"), size=size) == most


@pytest.mark.usefixtures("slow")
async def test_other_failures_do_not_wait(clock: ManualClock) -> None:
    """Only refusals by a quota wait."""
    async with Refused(Pacing(clock)) as refused:
        for error in (errors.unauthenticated(), errors.too_many_requests(1), ValueError()):
            assert await refused.held(3 * AT_ONCE, error) == 0


@pytest.mark.usefixtures("slow")
async def test_a_server_that_stops_waits_for_none(clock: ManualClock) -> None:
    """Once the server is to stop, no refusal waits."""
    paced = Pacing(clock)
    async with Refused(paced) as refused:
        paced.stop()
        assert await refused.held(3 * AT_ONCE, refusal("acme")) == 0


async def test_a_refusal_comes_before_the_deadline(clock: ManualClock) -> None:
    """A refusal waits about as long as clients are asked to pause, or half of the call's time."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    paced = Pacing(clock, sleep)
    for _ in range(AT_ONCE):
        await paced.before(refusal("acme"), SIZE, 5.0)
    assert waits == []
    for left in (None, 5.0, 0.2):
        await paced.before(refusal("acme"), SIZE, left)
    assert all(RETRY_DELAY <= each <= 1.5 * RETRY_DELAY for each in waits[:2])
    assert waits[2] == 0.1


async def test_refusals_that_come_together_are_answered_apart(clock: ManualClock) -> None:
    """Of any number that come at once, no tenth of the time has more than its share, about."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds / RETRY_DELAY)

    for count in (20, 100, 1000):
        paced, waits[:] = Pacing(clock, sleep), []
        for _ in range(AT_ONCE + count):
            await paced.before(refusal("acme"), SIZE, 5.0)
        in_tenths = Counter(int((each - 1) / 0.05) for each in waits)
        assert sorted(in_tenths) == list(range(10))
        assert max(in_tenths.values()) <= count / 10 + 2


@pytest.mark.usefixtures("slow")
async def test_calls_of_a_tenant_that_repeats_them(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tenant's calls over its quota wait for their refusals; other tenants' do not."""
    monkeypatch.setattr(admission, "Pacing", lambda: Pacing(clock))
    quotas = Quotas.model_validate({"tenants": [{"pattern": "acme", "writes": 0}]})
    async with serving_from(GatedStorage(), Settings(quotas=quotas)) as stub:
        calls = [asyncio.create_task(failure_of(put(stub, key()))) for _ in range(AT_ONCE + 20)]
        await until_async(lambda: sum(call.done() for call in calls) == AT_ONCE)
        for _ in range(5):
            await put(stub, key(tenant="globex"))
            await get(stub, key(tenant="globex"))
        assert [call.result().reason for call in calls if call.done()] == [
            "QUOTA_EXCEEDED"
        ] * AT_ONCE
        for call in calls:
            call.cancel()


async def test_a_stream_is_read_at_a_pace_while_it_is_declined(clock: ManualClock) -> None:
    """After so many messages with declined subscriptions in a second, a stream is not read."""
    pace = DeclinedPace(clock)

    async def waits() -> bool:
        waiting = asyncio.create_task(pace.after())
        await asyncio.sleep(0)
        is_waiting = not waiting.done()
        await waiting
        return is_waiting

    together = int(pacing.DECLINED)
    assert [await waits() for _ in range(together + 1)] == [False] * together + [True]
    clock.now += 0.5
    assert [await waits() for _ in range(together // 2)] == [False] * (together // 2)


async def test_only_declined_subscriptions_slow_a_stream_down(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A message whose subscriptions have room is no reason to wait, nor is a ping."""
    declined: list[int] = []

    class Pace:
        """Counts the messages."""

        async def after(self) -> None:
            """Count one."""
            declined.append(1)

    monkeypatch.setattr(subscribing, "DeclinedPace", Pace)
    quotas = Quotas.model_validate({"tenants": [{"pattern": "acme", "subscriptions": 3}]})
    async with serving_from(GatedStorage(), Settings(quotas=quotas)) as stub:

        async def requests() -> AsyncIterator[WatchRequest]:
            for i in range(8):
                yield WatchRequest(subscribe=Subscribe(key=key(f"c{i}"), number=i + 1))
            yield WatchRequest(subscribe=Subscribe(key=key(tenant="globex"), number=9))
            await asyncio.Event().wait()

        async for response in stub.Watch(requests()):
            if response.answers == 9:
                break
    assert len(declined) == 5

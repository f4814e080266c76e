"""Workers that are stopped or killed: only deliveries that reached a handler count.

These are real worker processes on a real Redis, stopped and continued by signals.
"""

import socket

from relevo_client import ContextKey, ContextRef
from relevo_client.actions import DomainAction
from support.clients.queueing import SERVICE, SOON, Queueing
from support.clients.worker_process import WorkerProcess


async def stand_still(queueing: Queueing, worker: WorkerProcess) -> None:
    """Stop a worker for longer than its action may be idle, and continue it."""
    worker.halt()
    await queueing.until(lambda: queueing.held().idle > 2 * SOON, "the action to be idle")
    worker.resume()
    await queueing.until(lambda: queueing.held().idle < SOON, "the action to be kept again")
    assert queueing.held().begun == 1


async def give_to_halted(queueing: Queueing, worker: WorkerProcess, action: DomainAction) -> None:
    """Stop a worker in a blocked read, and send an action, which Redis gives to it at once."""
    while True:
        worker.halt()
        await queueing.until(worker.has_halted)
        entry = queueing.redis("XADD", queueing.work, "*", "data", action.model_dump_json())
        if queueing.pending():
            return
        # It was stopped between two reads.
        queueing.redis("XDEL", queueing.work, entry)
        worker.resume()


def numbers_of(queueing: Queueing) -> list[tuple[str, str]]:
    """The reason and the count of deliveries of each dead letter."""
    letters = [headers for _, headers in queueing.entries(queueing.dead)]
    return [(headers["reason"], headers["deliveries"]) for headers in letters]


async def test_a_worker_that_stands_still_with_work_in_hand(queueing: Queueing) -> None:
    """A stop amid a handler does not count as a delivery: all tries remain."""
    await queueing.send(queueing.action())
    async with WorkerProcess.running(queueing, consumer="one", max_deliveries=2) as worker:
        assert await worker.line() == "-"
        for _ in range(3):
            await stand_still(queueing, worker)
        worker.end_handler("fail")
        assert await worker.line() == "-"
        worker.end_handler("return")
        await queueing.until_done()
    assert not queueing.entries(queueing.dead)
    (result,) = queueing.sent(queueing.results)
    assert result.payload == {"pid": worker.pid}


async def test_a_worker_that_stands_still_and_dies(queueing: Queueing) -> None:
    """A delivery counts once, however often its worker was stopped before it was killed."""
    await queueing.send(queueing.action())
    async with WorkerProcess.running(queueing, consumer="one", max_deliveries=2) as worker:
        assert await worker.line() == "-"
        for _ in range(3):
            await stand_still(queueing, worker)
        await worker.kill()
    async with WorkerProcess.running(queueing, consumer="two", max_deliveries=2) as another:
        assert await another.line() == "-"
        another.end_handler("fail")
        await queueing.until_done()
    assert numbers_of(queueing) == [("HANDLER_FAILED", "2")]


async def test_a_worker_that_dies_before_its_handler_begins(queueing: Queueing) -> None:
    """A delivery that was only read or claimed does not count: one counted delivery is enough."""
    ref = ContextRef(ContextKey("conversation", "acme", "c-1"))
    queueing.redis("XGROUP", "CREATE", queueing.work, SERVICE, "0", "MKSTREAM")
    async with WorkerProcess.running(queueing, consumer="reader") as worker:
        action = queueing.action(tenant_id="acme", context_ref=ref)
        await give_to_halted(queueing, worker, action)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        # The context's store does not answer.
        address = "{}:{}".format(*silent.getsockname())
        async with WorkerProcess.running(queueing, address, consumer="claimer") as worker:
            await queueing.until(lambda: queueing.held().consumer == "claimer")
    async with WorkerProcess.running(queueing, consumer="alive", max_deliveries=1) as worker:
        assert await worker.line() == "-"
        worker.end_handler("return")
        await queueing.until_done()
    assert not queueing.entries(queueing.dead)
    assert [each.error for each in queueing.sent(queueing.results)] == [None]


async def test_an_action_that_kills_its_workers(queueing: Queueing) -> None:
    """A delivery counts from its handler's start: an action that kills workers is a dead letter.

    The log and the dead letter have the count of the handlers that began.
    """
    await queueing.send(queueing.action())
    for number in range(2):
        name = f"poisoned-{number}"
        async with WorkerProcess.running(queueing, consumer=name, max_deliveries=2) as worker:
            assert await worker.line() == "-"
    async with WorkerProcess.running(queueing, consumer="alive", max_deliveries=2) as alive:
        await alive.logged("delivery 2 of 2: is a dead letter, TOO_MANY_DELIVERIES")
        await queueing.until_done()
    assert numbers_of(queueing) == [("TOO_MANY_DELIVERIES", "2")]
    (told,) = queueing.sent(queueing.results)
    assert told.error is not None
    assert told.error.reason == "TOO_MANY_DELIVERIES"


async def test_what_another_has_done_meanwhile_is_not_begun(queueing: Queueing) -> None:
    """A worker that was stopped after its read does not handle what another one has handled."""
    queueing.redis("XGROUP", "CREATE", queueing.work, SERVICE, "0", "MKSTREAM")
    async with WorkerProcess.running(queueing, consumer="still") as still:
        await give_to_halted(queueing, still, queueing.action(payload={"n": 1}))
        async with WorkerProcess.running(queueing, consumer="other") as other:
            assert await other.line() == "-"
            other.end_handler("return")
            await queueing.until_done()
        still.resume()
        await queueing.send(queueing.action(payload={"n": 2}))
        assert await still.line() == "-"
        still.end_handler("return")
        await queueing.until(lambda: len(queueing.sent(queueing.results)) >= 2)
        await queueing.until_done()
        assert len(queueing.sent(queueing.results)) == 2


async def test_what_another_has_now_is_left_to_it(queueing: Queueing) -> None:
    """A worker that was stopped amid a handler leaves the action to the worker that claimed it.

    It neither keeps nor acknowledges it, nor makes it a dead letter.
    """
    await queueing.send(queueing.action())
    async with WorkerProcess.running(queueing, consumer="still", max_deliveries=1) as still:
        assert await still.line() == "-"
        still.halt()
        async with WorkerProcess.running(queueing, consumer="other", max_deliveries=2) as other:
            assert await other.line() == "-"
            still.end_handler("fail")
            still.resume()
            await still.logged("is left to another consumer")
            assert queueing.held().consumer == "other"
            assert not queueing.entries(queueing.dead)
            other.end_handler("return")
            await queueing.until_done()
            results = queueing.sent(queueing.results)
    assert [each.error for each in results] == [None]
    assert not queueing.entries(queueing.dead)


async def test_both_have_done_it(queueing: Queueing) -> None:
    """An action that was claimed amid its handler may be handled twice, with one reply id."""
    action = queueing.action()
    await queueing.send(action)
    async with WorkerProcess.running(queueing, consumer="still") as still:
        assert await still.line() == "-"
        still.halt()
        async with WorkerProcess.running(queueing, consumer="other") as other:
            assert await other.line() == "-"
            still.end_handler("return")
            still.resume()
            await queueing.until(lambda: queueing.sent(queueing.results), "the first result")
            assert queueing.held().consumer == "other"
            other.end_handler("return")
            await queueing.until_done()
    results = queueing.sent(queueing.results)
    assert [each.action_id for each in results] == [action.reply({}).action_id] * 2
    assert [each.payload["pid"] for each in results] == [still.pid, other.pid]

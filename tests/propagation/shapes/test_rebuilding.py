"""Functions that rebuild a context: one call at a time per key, within each call's deadline."""

import asyncio
import logging
import threading
import traceback
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from grpc import StatusCode
from relevo_client import ContextRef, ExecutionContext, LostContext, Policy, filters
from relevo_client.testing import LocalStore
from support.clients.callers import Caller, calling
from support.clients.lost_contexts import NOT_FOUND, TOO_OLD, Loss
from support.clients.plays import UNARY_SHAPES, naming
from support.servers.hosting import SERVICE, Host, hosted
from support.servers.scenes import NOBODY, Scene
from support.servers.shapes import Shape
from support.waiting import until_async

each_shape = pytest.mark.parametrize("shape", UNARY_SHAPES, ids=str)

INTERNALS = "internals: 10.0.0.7"


class Workshop:
    """A policy's function that runs until the test ends it, and counts its calls."""

    def __init__(self, shape: Shape, name: str = "made") -> None:
        self._name = name
        self._lock = threading.Lock()
        self._may_end = threading.Event()
        self.begun = 0
        self.at_once = 0
        """The highest number of concurrent calls."""
        self._now = 0
        self.make: Any = self._make_async if shape.server == "asyncio" else self._make

    def let_end(self) -> None:
        """Let all calls end, from now on."""
        self._may_end.set()

    async def has_begun(self) -> bool:
        """Whether the function was called."""
        return self.begun > 0

    def _make(self, _: LostContext) -> ExecutionContext:
        with self._lock:
            self.begun += 1
            self._now += 1
            self.at_once = max(self.at_once, self._now)
            user = f"{self._name} {self.begun}"
        self._may_end.wait()
        with self._lock:
            self._now -= 1
        return ExecutionContext(user_id=user)

    async def _make_async(self, lost: LostContext) -> ExecutionContext:
        return await asyncio.to_thread(self._make, lost)


class Arrivals:
    """An `authorize` that allows every call, and counts them."""

    def __init__(self) -> None:
        self.number = 0
        self._lock = threading.Lock()

    def __call__(self, _: ContextRef, __: Any) -> bool:
        """Allow the call."""
        with self._lock:
            self.number += 1
        return True

    def are(self, number: int) -> Callable[[], Any]:
        """Whether this many calls have arrived."""

        async def arrived() -> bool:
            return self.number == number

        return arrived


@pytest.fixture
async def loss(store: LocalStore) -> AsyncIterator[Loss]:
    """An entry that does not exist."""
    async with NOT_FOUND.lose(store) as loss:
        yield loss


@asynccontextmanager
async def serving(
    shape: Shape, loss: Loss, scene: Scene, *, threads: int = 1, **rules: Any
) -> AsyncGenerator[tuple[Host, Caller], None]:
    """A server with two equal methods, and a caller of it."""
    interceptor = loss.clients.interceptor(shape.server, trust_callers=True, **rules)
    behaviour = shape.make(scene)
    methods = {"Do": (shape.arity, behaviour), "Other": (shape.arity, behaviour)}
    async with (
        hosted(shape.server, methods, interceptors=[interceptor], threads=threads) as host,
        calling("asyncio", host.address, interceptors=()) as caller,
    ):
        yield host, caller


def begin(caller: Caller, ref: ContextRef | None, method: str = "Do", **options: Any) -> Any:
    """Begin a call that names a context."""
    return caller.begin("unary_unary", method, metadata=naming(ref) if ref else (), **options)


@each_shape
async def test_one_at_a_time_for_a_key(loss: Loss, shape: Shape) -> None:
    """Of twenty calls with one key, only one runs the function at a time."""
    workshop, arrivals = Workshop(shape), Arrivals()
    policy = Policy(not_found=workshop.make)
    async with serving(shape, loss, Scene(), threads=20, policy=policy, authorize=arrivals) as (
        _,
        caller,
    ):
        calls = [begin(caller, loss.ref) for _ in range(20)]
        await until_async(arrivals.are(20))
        await until_async(workshop.has_begun)
        workshop.let_end()
        users = {(await call).decode().rpartition(" ")[0] for call in calls}
    assert workshop.at_once == 1
    assert len(users) == workshop.begun < 20


@each_shape
async def test_keys_do_not_wait_for_each_other(store: LocalStore, shape: Shape) -> None:
    """Calls with different keys, and calls without one, each get their own context."""
    scene = Scene()
    names: list[str] = []

    def make(lost: LostContext) -> ExecutionContext:
        name = lost.ref.key.id if lost.ref else "none"
        names.append(name)
        return ExecutionContext(user_id=name)

    async with NOT_FOUND.lose(store) as one, NOT_FOUND.lose(store) as other:
        assert one.ref
        assert other.ref
        policy = Policy(not_found=make, no_reference=make)
        async with serving(shape, one, scene, threads=4, policy=policy) as (_, caller):
            calls = [begin(caller, ref) for ref in (one.ref, other.ref, None, None)]
            users = [(await call).decode().split(" ")[0] for call in calls]
    assert users == [one.ref.key.id, other.ref.key.id, "none", "none"]
    assert sorted(names) == sorted(users)


@each_shape
async def test_each_call_keeps_its_own_reference(store: LocalStore, shape: Shape) -> None:
    """Calls that share a rebuilt context pass on their own revisions.

    Otherwise, a callee could use an older context than its caller has seen.
    """
    workshop, arrivals = Workshop(shape), Arrivals()
    policy = Policy(too_old=workshop.make)
    async with TOO_OLD.lose(store) as loss:
        assert loss.ref
        refs = [ContextRef(loss.ref.key, loss.ref.revision + more) for more in range(3)]
        async with serving(shape, loss, Scene(), threads=3, policy=policy, authorize=arrivals) as (
            _,
            caller,
        ):
            calls = [begin(caller, refs[0])]
            await until_async(workshop.has_begun)
            calls += [begin(caller, ref) for ref in refs[1:]]
            await until_async(arrivals.are(3))
            workshop.let_end()
            seen = [(await call).decode().split(" ")[-1] for call in calls]
    assert seen == [str(ref) for ref in refs]


@each_shape
async def test_each_method_has_its_own_function(loss: Loss, shape: Shape) -> None:
    """If two methods have different functions, a call uses its own method's, even for one key."""
    slow, quick = Workshop(shape, "slow"), Workshop(shape, "quick")
    quick.let_end()
    policies = [
        (filters.method(f"/{SERVICE}/Do"), Policy(not_found=slow.make)),
        (filters.method(f"/{SERVICE}/Other"), Policy(not_found=quick.make)),
    ]
    async with serving(shape, loss, Scene(), threads=2, policies=policies) as (_, caller):
        first = begin(caller, loss.ref)
        await until_async(slow.has_begun)
        second = begin(caller, loss.ref, "Other")
        try:
            await until_async(quick.has_begun, within=3, what="the method's own function runs")
        finally:
            slow.let_end()
        assert (await first).startswith(b"slow 1")
        assert (await second).startswith(b"quick 1")


@each_shape
async def test_it_outlives_the_deadline(loss: Loss, shape: Shape) -> None:
    """A call ends at its deadline before its handler, and its thread becomes free."""
    workshop, scene = Workshop(shape), Scene()
    try:
        async with serving(shape, loss, scene, policy=Policy(not_found=workshop.make)) as (
            _,
            caller,
        ):
            over = await caller.outcome("unary_unary", begin(caller, loss.ref, timeout=2))
            assert over.code in (StatusCode.DEADLINE_EXCEEDED, NOT_FOUND.refusal[0])
            assert workshop.begun == 1
            assert scene.seen == []
            assert (await begin(caller, None)).decode() == NOBODY
    finally:
        workshop.let_end()


@each_shape
async def test_it_is_not_bound_to_the_first_call(loss: Loss, shape: Shape) -> None:
    """A function outlives the first call's deadline, and its context serves a later call."""
    workshop, arrivals = Workshop(shape), Arrivals()
    policy = Policy(not_found=workshop.make)
    async with serving(shape, loss, Scene(), threads=2, policy=policy, authorize=arrivals) as (
        _,
        caller,
    ):
        hasty = begin(caller, loss.ref, timeout=2)
        await until_async(workshop.has_begun)
        patient = begin(caller, loss.ref)
        over = await caller.outcome("unary_unary", hasty)
        assert over.code in (StatusCode.DEADLINE_EXCEEDED, NOT_FOUND.refusal[0])
        await until_async(arrivals.are(2))
        workshop.let_end()
        assert (await patient).startswith(b"made 1")
    assert workshop.begun == 1


@each_shape
async def test_it_raises(loss: Loss, shape: Shape, caplog: pytest.LogCaptureFixture) -> None:
    """The caller gets a fixed text; the log has the exception's class, and never its text.

    The next call runs the function again.
    """
    caplog.set_level(logging.DEBUG)
    begun: list[LostContext] = []

    def make(lost: LostContext) -> ExecutionContext:
        begun.append(lost)
        raise ZeroDivisionError(INTERNALS)

    scene = Scene()
    async with serving(shape, loss, scene, policy=Policy(not_found=make)) as (_, caller):
        for _ in range(2):
            over = await caller.outcome("unary_unary", begin(caller, loss.ref))
            assert over.code is StatusCode.INTERNAL
            assert over.details == "the call's context could not be resolved"
            assert over.trailing == []
    assert len(begun) == 2
    assert scene.seen == []
    loud = [each for each in caplog.records if each.levelno >= logging.WARNING]
    assert [each.name for each in loud] == ["relevo_client"] * 2
    assert all("ZeroDivisionError" in each.getMessage() for each in loud)
    assert INTERNALS not in _everything(caplog)


def _everything(caplog: pytest.LogCaptureFixture) -> str:
    texts = [record.getMessage() for record in caplog.records]
    for record in caplog.records:
        if record.exc_info:
            texts.extend(traceback.format_exception(*record.exc_info))
    return "\n".join(texts)

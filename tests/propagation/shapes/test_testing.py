"""`relevo_client.testing` gives other projects' tests the store that its page describes."""

import time

import grpc
import pytest
from relevo_client import (
    AsyncContextClient,
    ContextClient,
    ContextKey,
    ContextRef,
    ExecutionContext,
    InvalidFieldError,
    NotFoundError,
    UnavailableError,
    use_context,
)
from relevo_client.testing import Clock, LocalStore, RecordedCalls
from support.clients.callers import calling
from support.entries import entry_of
from support.servers.hosting import SERVICE, Methods, hosted, recording
from support.servers.relaying import ARITIES
from support.servers.scenes import Scene
from support.servers.shapes import SHAPES, Kind

pytest_plugins = ["pytester"]

KEY = ContextKey("conversation", "acme", "c-1")


def test_a_store_for_blocking_tests() -> None:
    """Within the block there is a store with a client for the test; afterwards it is gone."""
    with LocalStore() as store:
        store.client.put(KEY, ExecutionContext(user_id="u-1"))
        with ContextClient(store.address, timeout=10) as other:
            assert other.resolve(KEY).context.user_id == "u-1"
        address = store.address
    with ContextClient(address, timeout=1) as late, pytest.raises(UnavailableError):
        late.get(KEY)


async def test_a_store_for_asyncio_tests() -> None:
    """The same store serves asyncio clients on any loop."""
    with LocalStore() as store:
        store.client.put(KEY, ExecutionContext(user_id="u-1"))
        async with AsyncContextClient(store.address, timeout=10) as client:
            assert (await client.resolve(KEY)).context.user_id == "u-1"


def test_stores_are_apart() -> None:
    """Two stores share neither entries nor time."""
    with LocalStore() as one, LocalStore() as other:
        one.client.put(KEY, ExecutionContext())
        other.client.put(KEY, ExecutionContext(), ttl=10)
        one.clock.advance(11)
        assert one.address != other.address
        assert other.client.get(KEY).key == KEY
        other.client.invalidate(KEY)
        assert one.client.get(KEY).key == KEY


def test_entries_expire_by_the_clock() -> None:
    """A conversation expires after 1800 s of the store's clock, not of the time of day."""
    with LocalStore() as store:
        store.client.put(KEY, ExecutionContext())
        assert store.client.get(KEY).ttl.total_seconds() == 1800
        store.clock.advance(1799)
        assert store.client.get(KEY).ttl.total_seconds() == 1
        store.clock.advance(1)
        with pytest.raises(NotFoundError):
            store.client.get(KEY)
        assert store.client.put(KEY, ExecutionContext()).revision


def test_versions_grow_while_time_stands_still() -> None:
    """Every write takes the next revision, even though the clock stands still."""
    with LocalStore() as store:
        revisions = [store.client.put(KEY, ExecutionContext()).revision for _ in range(5)]
    assert revisions == sorted(set(revisions))


def test_settings() -> None:
    """Settings are those of `relevo serve`; a wrong one is reported."""
    with LocalStore(ttl={"scopes": {"conversation": 60}}) as store:
        store.client.put(KEY, ExecutionContext())
        assert store.client.get(KEY).ttl.total_seconds() == 60
    with pytest.raises(ValueError, match="no_such_setting"):
        LocalStore(no_such_setting=1)


def test_settings_are_only_those_that_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's environment variables for `relevo serve` do not affect tests."""
    monkeypatch.setenv("RELEVO_MAX_CONTEXT_BYTES", "1")
    monkeypatch.setenv("RELEVO_TTL__DEFAULT", "60")
    key = ContextKey("session", "acme", "s-1")
    with LocalStore() as store:
        store.client.put(key, ExecutionContext(user_id="u-1"))
        assert store.client.get(key).ttl.total_seconds() == 300


def test_a_store_that_cannot_start() -> None:
    """If a store cannot listen, entering the block fails with the reason."""
    with LocalStore() as store, pytest.raises(OSError, match="cannot listen"):
        LocalStore(listen=store.address).__enter__()


def test_the_clock() -> None:
    """The clock advances only when told to, and never steps back."""
    clock = Clock()
    begun = clock.time()
    assert abs(begun - time.time()) < 60
    assert clock.monotonic() == 0
    clock.advance(2.5)
    clock.advance(0)
    assert clock.time() - begun == pytest.approx(2.5)
    assert clock.monotonic() == 2.5
    with pytest.raises(ValueError, match="negative"):
        clock.advance(-1)
    assert clock.monotonic() == 2.5


@pytest.mark.parametrize("arity", ARITIES)
@pytest.mark.parametrize("kind", ["blocking", "asyncio"])
async def test_recorded_calls(kind: Kind, arity: str) -> None:
    """The record has each call that arrived, in order, with its metadata and its reference."""
    calls = RecordedCalls()
    shape = next(each for each in SHAPES if (each.server, each.arity) == (kind, arity))
    methods: Methods = dict.fromkeys(("Do", "Other"), (arity, shape.make(Scene())))
    entry = entry_of("u", revision=7)
    async with (
        hosted(kind, methods, interceptors=[recording(kind, calls)]) as host,
        calling(kind, host.address) as caller,
    ):
        assert calls.all() == []
        with use_context(entry):
            call = caller.begin(arity, metadata=(("x-session", "s-1"),))
        await caller.outcome(arity, call)
        await caller.outcome(arity, caller.begin(arity, "Other"))
    first, second = calls.all()
    assert (first.method, first.ref) == (f"/{SERVICE}/Do", ContextRef(entry.key, 7))
    assert ("x-session", "s-1") in first.metadata
    assert (second.method, second.ref) == (f"/{SERVICE}/Other", None)
    assert calls.all(f"/{SERVICE}/Other") == [second]
    assert calls.only(f"/{SERVICE}/Do") == first
    with pytest.raises(AssertionError, match="expected one call of any method"):
        calls.only()
    with pytest.raises(AssertionError, match="Nothing"):
        calls.only(f"/{SERVICE}/Nothing")
    calls.clear()
    assert calls.all() == []


async def test_a_recorded_call_that_is_malformed() -> None:
    """A malformed reference is recorded; reading it raises the error."""
    calls = RecordedCalls()
    shape = SHAPES[0]
    methods = {"Do": (shape.arity, shape.make(Scene()))}
    async with (
        hosted(shape.server, methods, interceptors=[calls.server_interceptor()]) as host,
        calling("blocking", host.address, interceptors=()) as caller,
    ):
        call = caller.begin(shape.arity, metadata=(("context-key", "malformed"),))
        await caller.outcome(shape.arity, call)
    assert ("context-key", "malformed") in calls.only().metadata
    with pytest.raises(InvalidFieldError):
        assert calls.only().ref


@pytest.mark.parametrize("kind", ["blocking", "asyncio"])
async def test_an_unknown_method_is_recorded(kind: Kind) -> None:
    """A call of an unknown method is recorded, and is UNIMPLEMENTED."""
    calls = RecordedCalls()
    async with (
        hosted(kind, {}, interceptors=[recording(kind, calls)]) as host,
        calling(kind, host.address) as caller,
    ):
        over = await caller.outcome("unary_unary", caller.begin("unary_unary"))
    assert over.code is grpc.StatusCode.UNIMPLEMENTED
    assert calls.only().method == f"/{SERVICE}/Do"


TEST_OF_A_SERVICE = """
import grpc
import pytest
from concurrent import futures
from relevo_client import (
    ContextKey, ExecutionContext, NotFoundError, client_interceptors, require_context,
    server_interceptor, use_context,
)


def test_search(relevo_store, relevo_calls):
    key = ContextKey("conversation", "acme", "c-1")
    relevo_store.client.put(key, ExecutionContext(user_id="u-1"))
    server = grpc.server(
        futures.ThreadPoolExecutor(1),
        interceptors=[
            relevo_calls.server_interceptor(),
            server_interceptor(relevo_store.client, trust_callers=True),
        ],
    )
    handler = grpc.unary_unary_rpc_method_handler(lambda _, __: require_context().user_id.encode())
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("shop.v1.Search", {"Find": handler}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as plain:
        channel = grpc.intercept_channel(plain, *client_interceptors())
        with use_context(relevo_store.client.resolve(key)):
            assert channel.unary_unary("/shop.v1.Search/Find")(b"", timeout=10) == b"u-1"
    server.stop(None).wait()
    assert relevo_calls.only("/shop.v1.Search/Find").ref.key.id == "c-1"
    relevo_store.clock.advance(1801)


def test_each_test_has_its_own(relevo_store, relevo_calls):
    assert relevo_calls.all() == []
    assert relevo_store.clock.monotonic() == 0
    with pytest.raises(NotFoundError):
        relevo_store.client.get(ContextKey("conversation", "acme", "c-1"))
"""


BY_NAME = 'pytest_plugins = ["relevo_client.testing.plugin"]'


@pytest.mark.parametrize(
    "conftest, options",
    [("", ()), (BY_NAME, ()), (BY_NAME, ("-p", "no:relevo"))],
    ids=["entry point", "both", "by name only"],
)
def test_the_plugin(pytester: pytest.Pytester, conftest: str, options: tuple[str, ...]) -> None:
    """A service's test passes without a warning, however the plugin is loaded, even twice."""
    pytester.makeconftest(conftest)
    pytester.makeini("[pytest]\nfilterwarnings = error\n")
    pytester.makepyfile(TEST_OF_A_SERVICE)
    result = pytester.runpytest_subprocess("-p", "no:asyncio", "-p", "no:cacheprovider", *options)
    result.assert_outcomes(passed=2)


def test_the_plugin_is_light(pytester: pytest.Pytester) -> None:
    """Tests without the plugin's fixtures import neither Relevo nor its dependencies."""
    pytester.makepyfile(
        "import sys\n"
        "def test_it(pytestconfig):\n"
        "    assert pytestconfig.pluginmanager.has_plugin('relevo')\n"
        "    heavy = {'relevo_client', 'relevo_server', 'grpc', 'google', 'pydantic'}\n"
        "    assert not heavy & sys.modules.keys()\n"
    )
    result = pytester.runpytest_subprocess("-p", "no:asyncio", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=1)


def test_without_the_extra(pytester: pytest.Pytester) -> None:
    """Without the extra's packages, only a test that uses a fixture fails, and names the extra."""
    pytester.makeconftest("import sys; sys.modules['pydantic_settings'] = None")
    pytester.makepyfile("def test_one(relevo_store): ...\ndef test_other(): ...")
    result = pytester.runpytest_subprocess("-p", "no:asyncio", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*needs pydantic_settings; *pip install 'relevo?testing?'*"])

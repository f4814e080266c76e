"""`undo` puts everything back, and a second `instrument` changes nothing."""

import asyncio
import threading
from typing import Any, cast

import grpc
import pytest
from grpc import aio
from relevo_client import ContextEntry, Instrumentation, InvalidFieldError, instrument, use_context
from relevo_client.testing import LocalStore
from support.clients.callers import calling
from support.instrumenting import Instrument, attributes
from support.servers.hosting import hosted
from support.servers.scenes import NOBODY, Scene
from support.servers.shapes import SHAPES, Kind, Shape

SECRET = "s3cret"  # noqa: S105 - of this test
each_kind = pytest.mark.parametrize("kind", ["blocking", "asyncio"])


def unary(kind: Kind) -> Shape:
    """The shape of an ordinary handler."""
    return next(each for each in SHAPES if (each.server, each.arity) == (kind, "unary_unary"))


async def test_undo_restores_exactly(store: LocalStore) -> None:
    """After `undo` each class has the very attributes that it had before."""
    before = attributes()
    functions = [getattr(grpc, name) for name in ("insecure_channel", "secure_channel", "server")]
    mine = instrument(target=store.address)
    during = attributes()
    changed = {owner for owner, names in during.items() if names != before[owner]}
    assert changed == before.keys()
    await mine.aundo()
    after = attributes()
    for owner, names in before.items():
        assert names.keys() == after[owner].keys()
        assert [name for name in names if names[name] is not after[owner][name]] == []
    assert functions == [
        getattr(grpc, name) for name in ("insecure_channel", "secure_channel", "server")
    ]
    assert mine.is_over


@each_kind
async def test_what_was_made_meanwhile_goes_on_without(
    store: LocalStore, entry: ContextEntry, kind: Kind
) -> None:
    """After `undo` calls of such a channel carry nothing, and handlers of a server have nothing."""
    mine = instrument(target=store.address, timeout=10, trust_callers=True)
    scene = Scene()
    methods = {"Do": ("unary_unary", unary(kind).make(scene))}
    async with (
        hosted(kind, methods) as host,
        calling(kind, host.address, interceptors=()) as caller,
    ):
        opened = caller.channel.unary_unary("/relevo.test.Shapes/Do")
        with use_context(entry):
            await caller.outcome("unary_unary", caller.begin("unary_unary"))
        assert set(scene.seen) == {f"u-1 {entry.ref}"}
        await mine.aundo()
        scene.seen.clear()
        with use_context(entry):
            await caller.outcome("unary_unary", caller.begin("unary_unary"))
            if kind == "asyncio":
                await opened(b"?")
            else:
                await asyncio.to_thread(opened, b"?")
        assert set(scene.seen) == {NOBODY}
        assert "context-key" not in dict(scene.context.invocation_metadata())


@each_kind
async def test_a_server_without_its_instrumentation_still_knows_references(
    store: LocalStore, entry: ContextEntry, kind: Kind
) -> None:
    """A reference that reaches a server after `undo` is ignored, and not resolved by its client."""
    mine = instrument(target=store.address, trust_callers=True)
    scene = Scene()
    methods = {"Do": ("unary_unary", unary(kind).make(scene))}
    async with hosted(kind, methods) as host:
        await mine.aundo()
        async with calling(kind, host.address) as caller:
            with use_context(entry):
                outcome = await caller.outcome("unary_unary", caller.begin("unary_unary"))
    assert outcome.code is grpc.StatusCode.OK
    assert set(scene.seen) == {NOBODY}


async def test_another_replacement_on_top_stays(store: LocalStore) -> None:
    """If somebody else has replaced an attribute meanwhile, `undo` leaves it, and it works."""
    owner: Any = type(grpc.insecure_channel("localhost:1"))
    original = owner.unary_unary
    mine = instrument(target=store.address)
    ours = owner.unary_unary

    def theirs(*args: Any, **options: Any) -> Any:
        return ours(*args, **options)

    owner.unary_unary = theirs
    try:
        await mine.aundo()
        assert owner.unary_unary is theirs
        with grpc.insecure_channel("localhost:1") as channel:
            opened = cast("object", channel.unary_unary("/relevo.test.Shapes/Do"))
            assert type(opened).__module__ == "grpc._channel"
    finally:
        owner.unary_unary = original


async def test_a_second_time(instrumented: Instrument, store: LocalStore) -> None:
    """The same settings, or none, change nothing: what is in force is returned."""
    first = instrumented(trust_callers=True, allow=["*"])
    before = attributes()
    assert instrument() is first
    assert instrument(target=store.address, trust_callers=True, allow=["*"]) is first
    assert attributes() == before


async def test_other_settings(instrumented: Instrument, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other settings are refused, and the error names them and no values."""
    first = instrumented(trust_callers=True, token=SECRET)
    with pytest.raises(InvalidFieldError) as refused:
        instrument(
            target="elsewhere:1", trust_callers=True, kinds={"grpc.client"}, token=f"{SECRET}-2"
        )
    assert {field for field, _ in refused.value.violations} == {
        "target (RELEVO_TARGET)",
        "kinds (RELEVO_KINDS)",
        "token (RELEVO_TOKEN)",
    }
    assert SECRET not in str(refused.value)
    assert "elsewhere" not in str(refused.value)
    monkeypatch.setenv("RELEVO_TARGET", "elsewhere:1")  # which nobody reads any more
    assert instrument() is first


async def test_after_undo_other_settings_may_come(store: LocalStore) -> None:
    """`undo` ends an instrumentation for good; another one may follow."""
    first = instrument(target=store.address)
    await first.aundo()
    second = instrument(target=store.address, kinds={"grpc.client"})
    try:
        assert second is not first
        assert second.kinds == {"grpc.client"}
    finally:
        await second.aundo()
    first.undo()
    assert first.is_over


async def test_threads_at_once(store: LocalStore) -> None:
    """Threads that instrument at the same time get one instrumentation."""
    made: list[Instrumentation] = []
    start = threading.Barrier(4)

    def make() -> None:
        start.wait()
        made.append(instrument(target=store.address))

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        await asyncio.to_thread(thread.join)
    await made[0].aundo()
    assert len(set(map(id, made))) == 1


async def test_nothing_is_left_if_it_fails(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a class of a library is not as it must be, nothing is changed, and the error says so."""
    owner: Any = type(aio.insecure_channel("localhost:1"))
    own = owner.stream_stream
    before = attributes()
    monkeypatch.delattr(owner, "stream_stream")
    with pytest.raises(InvalidFieldError, match=r"kinds \(RELEVO_KINDS\): grpcio .* cannot be"):
        instrument(target=store.address)
    owner.stream_stream = own
    assert attributes() == before

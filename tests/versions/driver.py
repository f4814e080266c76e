"""What a service of any version does, with servers and services of any other.

    driver.py play WRITER READER     writes through one server, and sees it through another
    driver.py serve STORE            a service that answers with its context; ends with its input
    driver.py call STORE SERVICE     calls that service for a context, before and after a change

It runs with the packages of a release or of the checkout, so it uses only what the oldest of them
has. The first line that it prints is where its packages are; it ends with 0 if all was well.
"""

import asyncio
import json
import sys
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import relevo_client
from grpc import aio, unary_unary_rpc_method_handler
from grpc import method_handlers_generic_handler as handlers_of
from relevo_client import (
    AsyncContextClient,
    ConflictError,
    ContextKey,
    ExecutionContext,
    NotFoundError,
    aio_context_channel,
    aio_server_interceptor,
    require_context,
    require_ref,
    use_context,
)

METHOD = "/versions.Echo/Model"


def model(name: str) -> ExecutionContext:
    """A context with a model."""
    return ExecutionContext(llm_config={"model": name, "top_p": 0.5})


async def until(condition: Callable[[], object], what: str) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - a near cache has no event to wait for
            await asyncio.sleep(0.01)
    print(json.dumps({"done": what}), flush=True)


async def play(write: str, read: str) -> None:
    """Write through one server, and see all of it through the other."""
    tenant = uuid.uuid4().hex
    agent = ContextKey("agent_config", tenant, "support")
    key = ContextKey("conversation", tenant, "c-1")
    async with (
        AsyncContextClient(write, cache=None, timeout=10) as writer,
        AsyncContextClient(read, timeout=10) as reader,
    ):

        def seen() -> Any:
            with suppress(NotFoundError):  # it knows that there is none
                entry = reader.peek(key)
                return entry and entry.context.llm_config["model"]
            return None

        await writer.put(agent, model("m-1"))
        ref = await writer.put(key, ExecutionContext(user_id="u-1", includes=(agent,)))
        entry = await reader.resolve(ref)
        assert (entry.context.llm_config["model"], entry.context.user_id) == ("m-1", "u-1")
        assert entry.version == ref.revision
        await until(lambda: seen() == "m-1", "resolved, and kept")
        await writer.update(agent, {"llm_config": {"model": "m-2"}})
        await until(lambda: seen() == "m-2", "a change was pushed")
        assert (await reader.resolve(key)).context.llm_config["top_p"] == 0.5

        snapshot = (await reader.snapshot(await reader.resolve(key))).ref
        kept = await writer.resolve(snapshot)
        assert kept.context.llm_config["model"] == "m-2"
        await writer.put(agent, model("m-3"))
        assert (await writer.resolve(snapshot)).context.llm_config["model"] == "m-2"

        made = ContextKey("tool_config", tenant, "t-1")

        async def factory(_: ContextKey) -> ExecutionContext:
            return model("made")

        created = await reader.get_or_create(made, factory)
        assert (await writer.get(made)).version == created.version
        try:
            await writer.put(made, model("late"), if_version=created.version - 1)
            raise AssertionError("an old version was accepted")
        except ConflictError:
            pass
        batch = await writer.batch_get([made, ContextKey("tool_config", tenant, "none")])
        assert [type(each).__name__ for each in batch] == ["ContextEntry", "NotFoundError"]
        print(json.dumps({"done": "snapshots, leases, conditions and batches"}), flush=True)

        await writer.invalidate(key)
        await until(lambda: seen() is None, "an Invalidate was pushed")
        ref = await writer.put(key, ExecutionContext(includes=(agent,)))
        await reader.resolve(ref)
        await writer.invalidate_tenant(tenant)
        await until(lambda: seen() is None, "the tenant's end was pushed")
        try:
            await reader.resolve(key)
            raise AssertionError("an ended entry was resolved")
        except NotFoundError:
            pass


async def answer(request: bytes, _: object) -> bytes:
    """The handler of the service: its context's model, and the revision that it stands on."""
    del request
    context, ref = require_context(), require_ref()
    return json.dumps([context.llm_config["model"], ref.revision]).encode()


async def serve(store: str) -> None:
    """Serve until the input ends."""
    async with AsyncContextClient(store, timeout=10) as contexts:
        server = aio.server(interceptors=[aio_server_interceptor(contexts, trust_callers=True)])
        _, service, name = METHOD.split("/")
        untyped: Any = unary_unary_rpc_method_handler
        server.add_generic_rpc_handlers([handlers_of(service, {name: untyped(answer)})])
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        print(json.dumps({"port": port}), flush=True)
        await asyncio.to_thread(sys.stdin.read)
        await server.stop(1)


async def call(store: str, service: str) -> None:
    """Call the service for a context, each time after a change."""
    key = ContextKey("conversation", uuid.uuid4().hex, "c-1")
    async with (
        AsyncContextClient(store, timeout=10) as contexts,
        aio_context_channel(aio.insecure_channel(service)) as channel,
    ):
        untyped: Any = channel
        ask = untyped.unary_unary(METHOD)
        for name in ("m-1", "m-2", "m-3"):
            ref = await contexts.put(key, model(name))
            with use_context(await contexts.resolve(ref)):
                got, revision = json.loads(await ask(b"", timeout=10))
            assert (got, revision >= ref.revision) == (name, True), (got, revision, ref.revision)
        snapshot = (await contexts.snapshot(await contexts.resolve(key))).ref
        await contexts.put(key, model("m-4"))
        with use_context(await contexts.resolve(snapshot)):
            got, _ = json.loads(await ask(b"", timeout=10))
        assert got == "m-3", got
        print(json.dumps({"done": "calls, and a snapshot"}), flush=True)


if __name__ == "__main__":
    print(json.dumps({"packages": relevo_client.__file__}), flush=True)
    what, *arguments = sys.argv[1:]
    parts: dict[str, Any] = {"play": play, "serve": serve, "call": call}
    asyncio.run(parts[what](*arguments))

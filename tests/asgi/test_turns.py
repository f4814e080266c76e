"""Requests that are turns: their context is a snapshot, for all services that are called."""

from relevo_client import (
    AsyncContextClient,
    ContextKey,
    ContextRef,
    ExecutionContext,
    Fallback,
    Policy,
)
from relevo_client.asgi import ContextMiddleware
from relevo_client.testing import LocalStore
from support.servers.asgi import HEADERS, Answer, Edge, ask, see
from support.waiting import until_async

KEY = ContextKey("conversation", "acme", "c-1")


def ref_of(answer: Answer) -> ContextRef:
    """The reference that was current in a request."""
    return ContextRef(ContextKey.parse(answer.body["key"]), int(answer.body["revision"]))


async def test_a_request_has_a_snapshot(
    edge: Edge, store: LocalStore, contexts: AsyncContextClient
) -> None:
    """A turn's reference is that of a snapshot, which stays as it is; the next turn has another."""
    app = edge(turns=True)
    first = await ask(app, HEADERS.items())
    assert first.body["context"]["llm_config"] == {"model": "m-1", "temperature": 0.5}
    assert ref_of(first).key.scope == "snapshot"
    agent = ContextKey("agent_config", "acme", "support")
    changed = store.client.put(agent, ExecutionContext(llm_config={"model": "m-2"}))
    kept = await contexts.resolve(ref_of(first))
    assert kept.context.llm_config["model"] == "m-1"
    await contexts.resolve(ContextRef(KEY, changed.revision))
    second = await ask(app, HEADERS.items())
    assert second.body["context"]["llm_config"] == {"model": "m-2"}
    assert ref_of(second).key != ref_of(first).key


async def test_overrides_are_in_the_turn(edge: Edge, store: LocalStore) -> None:
    """An override changes the conversation, and the request's snapshot has the change."""
    app = edge(turns=True, overrides={"X-LLM-Model": "llm_config.model"})
    answer = await ask(app, {**HEADERS, "X-LLM-Model": "m-9"}.items())
    assert answer.body["context"]["llm_config"]["model"] == "m-9"
    assert ref_of(answer).key.scope == "snapshot"
    assert store.client.get(KEY).context.llm_config == {"model": "m-9"}


async def test_a_trusted_snapshot_goes_on(edge: Edge, store: LocalStore) -> None:
    """A trusted caller's snapshot is the request's own."""
    store.client.put(KEY, ExecutionContext(user_id="u"))
    taken = store.client.snapshot(store.client.resolve(KEY))
    headers = {"context-key": taken.key.text, "context-revision": str(taken.revision)}
    answer = await ask(edge(turns=True, trust_callers=True), headers.items())
    assert ref_of(answer).key == taken.key
    assert answer.body["context"]["user_id"] == "u"


async def test_a_turn_of_the_last_known_copy() -> None:
    """While the store is away, the turn's snapshot travels with calls as ever, marked as stale."""
    policy = Policy(unavailable=Fallback.LAST_KNOWN)
    with LocalStore() as store:
        store.client.put(KEY, ExecutionContext(user_id="u-1"))
        client = AsyncContextClient(store.address, timeout=10)
        app = ContextMiddleware(see, client, turns=True, policy=policy)
        first = await ask(app, HEADERS.items())
        await client.resolve(KEY)

        async def is_cached() -> bool:
            return client.peek(KEY) is not None

        await until_async(is_cached)
    # The client may not have noticed the store's end; an update asks the store anyway.
    overrides = {"X-M": "llm_config.model"}
    app = ContextMiddleware(see, client, turns=True, policy=policy, overrides=overrides)
    answer = await ask(app, {**HEADERS, "X-M": "m"}.items())
    assert ref_of(answer).key == ref_of(first).key
    assert answer.body["context"]["user_id"] == "u-1"
    await client.close()

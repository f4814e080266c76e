"""Overrides: headers that change a conversation's own settings, for all services."""

from typing import Any

import pytest
from relevo_client import ContextKey, ExecutionContext
from relevo_client.asgi import Override
from relevo_client.testing import LocalStore
from support.servers.asgi import HEADERS, Edge, ask

KEY = ContextKey("conversation", "acme", "c-1")
RULES = {
    "X-LLM-Model": "llm_config.model",
    "X-Temperature": Override("llm_config.temperature", convert=float),
    "X-Session-ID": "session_id",
}


async def test_an_override_counts_for_everyone(edge: Edge, store: LocalStore) -> None:
    """The conversation's own entry is changed once; its layers and other settings stay."""
    app = edge(overrides=RULES)
    await ask(app, HEADERS.items())
    before = store.client.get(KEY).version
    headers = {**HEADERS, "X-LLM-Model": "m-9", "X-Temperature": "0.9", "X-Session-ID": "s-2"}
    answer = await ask(app, headers.items())
    changed = {"model": "m-9", "temperature": 0.9}
    assert answer.body["context"]["llm_config"] == changed
    assert answer.body["context"]["session_id"] == "s-2"
    own = store.client.get(KEY)
    assert (own.context.llm_config, own.context.metadata) == (changed, {"begun": True})
    assert before < own.version <= int(answer.body["revision"])
    agent = store.client.get(ContextKey("agent_config", "acme", "support"))
    assert agent.context.llm_config["model"] == "m-1"
    # Without the headers the setting stays, and an equal one is not written again.
    assert (await ask(app, HEADERS.items())).body["context"]["llm_config"] == changed
    await ask(app, headers.items())
    assert store.client.get(KEY).version == own.version


async def test_what_the_layers_say_already(edge: Edge, store: LocalStore) -> None:
    """A header with the value of the composed context changes nothing."""
    app = edge(overrides=RULES)
    answer = await ask(app, {**HEADERS, "X-LLM-Model": "m-1", "X-Temperature": "0.5"}.items())
    assert answer.status == 200
    assert store.client.get(KEY).context.llm_config == {}


async def test_true_is_not_one(edge: Edge, store: LocalStore) -> None:
    """Values are compared as JSON: true is not 1."""
    store.client.put(KEY, ExecutionContext(rag_config={"rerank": 1}))
    rerank = Override("rag_config.rerank", convert=lambda text: text == "true")
    await ask(edge(overrides={"X-Rerank": rerank}), {**HEADERS, "X-Rerank": "true"}.items())
    assert store.client.get(KEY).context.rag_config["rerank"] is True


@pytest.mark.parametrize(
    "value, problem",
    [
        ("secret", "has a value of another kind"),
        ("nan", "must be a finite number"),
        ("", "must not be empty"),
        ("\x00", "must not contain control characters"),
    ],
)
async def test_a_value_of_another_kind(edge: Edge, begin: Any, value: str, problem: str) -> None:
    """A header that cannot be converted is 400, and nothing is begun or changed."""
    answer = await ask(edge(overrides=RULES), {**HEADERS, "X-Temperature": value}.items())
    assert answer.status == 400
    assert answer.body["error"]["message"] == f"X-Temperature: {problem}"
    assert begin.identities == []


async def test_a_converter_that_fails(edge: Edge, caplog: pytest.LogCaptureFixture) -> None:
    """Any other error than ValueError in a converter is 500, logged by its class."""

    def convert(text: str) -> float:
        raise KeyError(text)

    app = edge(overrides={"X-Secret": Override("metadata.secret", convert)})
    assert (await ask(app, {**HEADERS, "X-Secret": "secret-1"}.items())).status == 500
    assert "convert failed on a call's context: KeyError" in caplog.text
    assert "secret-1" not in caplog.text


async def test_an_unknown_header_is_left_alone(edge: Edge) -> None:
    """A header that is not an override is ignored, and so is one without a conversation."""
    app = edge(overrides=RULES)
    assert (await ask(app, {**HEADERS, "X-Other": "\x00"}.items())).status == 200
    assert (await ask(app, [("X-Temperature", "warm")])).status == 200


async def test_who_is_not_of_the_conversation_changes_nothing(
    edge: Edge, store: LocalStore
) -> None:
    """Another user's override is refused before anything is written."""
    store.client.put(KEY, ExecutionContext(user_id="u-1", llm_config={"model": "m-3"}))
    headers = {**HEADERS, "X-User-ID": "u-2", "X-LLM-Model": "m-9"}
    assert (await ask(edge(overrides=RULES), headers.items())).status == 403
    assert store.client.get(KEY).context.llm_config == {"model": "m-3"}


@pytest.mark.parametrize(
    "path", ["", "model", "llm_config", "llm_config.", ".model", "llm_config.a.b", "user_id", "x.y"]
)
def test_paths_that_lead_nowhere(path: str) -> None:
    """An override's path is a section's key, or a changeable field of the identity."""
    with pytest.raises(ValueError, match="section"):
        Override(path)

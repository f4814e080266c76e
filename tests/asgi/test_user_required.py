"""With `require_user`, a request must name the user of a conversation that has one."""

from typing import Any

import pytest
from asgi.answers import KEY, why
from relevo_client import AsyncContextClient, ExecutionContext, Policy
from relevo_client.asgi import ContextMiddleware
from relevo_client.testing import LocalStore
from support.servers.asgi import HEADERS, Edge, ask, see

USER_REQUIRED = 403, "USER_REQUIRED", "X-User-ID: must name the conversation's user"
OTHER_USER = 403, "OTHER_USER", "X-User-ID: not the conversation's user"


def headers(**more: str) -> Any:
    """The headers of a request for the conversation."""
    return {**HEADERS, **{name.replace("_", "-"): value for name, value in more.items()}}.items()


@pytest.fixture
def owned(store: LocalStore) -> LocalStore:
    """A store with a conversation of the user u-1."""
    store.client.put(KEY, ExecutionContext(tenant_id="acme", user_id="u-1"))
    return store


@pytest.mark.usefixtures("owned")
async def test_who_names_the_user_is_served(edge: Edge) -> None:
    """The conversation's user is served; another user, and nobody, are refused."""
    app = edge(require_user=True)
    assert (await ask(app, headers(X_User_ID="u-1"))).body["key"] == KEY.text
    assert why(await ask(app, headers(X_User_ID="u-2"))) == OTHER_USER
    assert why(await ask(app, headers())) == USER_REQUIRED


@pytest.mark.usefixtures("owned")
async def test_by_default_a_user_need_not_be_named(edge: Edge) -> None:
    """Without `require_user`, a request may leave the user out."""
    assert (await ask(edge(), headers())).status == 200


async def test_a_conversation_without_a_user(edge: Edge, store: LocalStore) -> None:
    """A conversation without a user needs none, and a conversation begins without one."""
    app = edge(require_user=True)
    assert (await ask(app, headers())).status == 200
    assert store.client.get(KEY).context.user_id == ""
    assert (await ask(app, headers())).status == 200


async def test_a_refused_request_changes_nothing(edge: Edge, owned: LocalStore) -> None:
    """A request without the user overrides nothing."""
    app = edge(require_user=True, overrides={"X-Model": "llm_config.model"})
    assert why(await ask(app, headers(X_Model="m-9"))) == USER_REQUIRED
    assert not owned.client.get(KEY).context.llm_config


@pytest.mark.usefixtures("owned")
async def test_a_trusted_reference_needs_no_user(edge: Edge) -> None:
    """A caller that is trusted with a reference has been asked for the user before."""
    app = edge(require_user=True, trust_callers=True)
    assert (await ask(app, [("context-key", KEY.text)])).body["key"] == KEY.text


async def test_a_context_that_a_policy_makes(contexts: AsyncContextClient) -> None:
    """A context that a policy's function makes is of its user, too."""

    def make(_: Any) -> ExecutionContext:
        return ExecutionContext(user_id="u-1")

    app = ContextMiddleware(see, contexts, require_user=True, policy=Policy(not_found=make))
    assert why(await ask(app, headers())) == USER_REQUIRED
    assert (await ask(app, headers(X_User_ID="u-1"))).body["context"]["user_id"] == "u-1"

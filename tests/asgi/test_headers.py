"""Malformed headers are 400: the answer has their names, and never their values."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.servers.asgi import HEADERS, Answer, Edge, ask
from support.strategies import key_parts, on_real_servers

TENANT, CONVERSATION = HEADERS.items()


def refusal(message: str) -> Any:
    """The body of a refusal of headers."""
    return {"error": {"reason": "INVALID_HEADER", "message": message}}


@pytest.mark.parametrize(
    "headers, message",
    [
        ([TENANT], "X-Conversation-ID: is required if X-Tenant-ID is given"),
        ([CONVERSATION], "X-Tenant-ID: is required if X-Conversation-ID is given"),
        ([("X-Tenant-ID", ""), CONVERSATION], "X-Tenant-ID: must not be empty"),
        ([("X-Tenant-ID", " \t"), CONVERSATION], "X-Tenant-ID: must not be empty"),
        (
            [("X-Tenant-ID", "secret" * 43), CONVERSATION],
            "X-Tenant-ID: must have at most 256 bytes",
        ),
        (
            [("X-Tenant-ID", "secret\x07"), CONVERSATION],
            "X-Tenant-ID: must not contain control characters",
        ),
        ([("X-Tenant-ID", b"secret\xff"), CONVERSATION], "X-Tenant-ID: must be UTF-8"),
        ([TENANT, ("X-Tenant-ID", "secret"), CONVERSATION], "X-Tenant-ID: must be there once"),
        ([TENANT, CONVERSATION, ("X-User-ID", "")], "X-User-ID: must not be empty"),
        (
            [TENANT, CONVERSATION, ("X-Agent-ID", b"\x80"), ("X-Session-ID", "\x1f")],
            "X-Agent-ID: must be UTF-8; X-Session-ID: must not contain control characters",
        ),
        (
            [("X-Tenant-ID", "t" * 256), ("X-Conversation-ID", "c" * 256)],
            "X-Conversation-ID: must be shorter: the conversation's key takes more than 466 bytes",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_malformed_headers(edge: Edge, headers: Any, message: str) -> None:
    """The answer names the header and the problem, not the value."""
    answer = await ask(edge(), headers)
    assert (answer.status, answer.body) == (400, refusal(message))
    assert answer.headers["content-type"] == "application/json"
    assert "secret" not in str(answer)


async def test_what_is_said_twice_is_one(edge: Edge) -> None:
    """Repeated equal values count as one, without the spaces around them."""
    answer = await ask(edge(), [TENANT, ("X-Tenant-ID", " acme\t"), CONVERSATION])
    assert answer.body["key"] == "conversation:acme:c-1"


async def test_names_in_any_case(edge: Edge) -> None:
    """A scope should have lower-case names; names in other cases are the same headers."""
    shouted = [(name.upper().encode(), value.encode()) for name, value in HEADERS.items()]
    answer = await ask(edge(), shouted)
    assert answer.body["key"] == "conversation:acme:c-1"


@on_real_servers
@given(
    tenant=key_parts.map(str.strip).filter(bool), conversation=key_parts.map(str.strip).filter(bool)
)
async def test_every_key_can_be_named(edge: Edge, tenant: str, conversation: str) -> None:
    """Headers can name any key in UTF-8, unless it is too long for a call."""
    headers = [("X-Tenant-ID", tenant), ("X-Conversation-ID", conversation)]
    answer = await ask(edge(), headers)
    if answer.status == 400:
        assert answer.body == refusal(
            "X-Conversation-ID: must be shorter: the conversation's key takes more than 466 bytes"
        )
    else:
        context = answer.body["context"]
        assert (context["tenant_id"], context["conversation_id"]) == (tenant, conversation)


NAMES = st.sampled_from(
    [
        *HEADERS,
        "X-Agent-ID",
        "X-User-ID",
        "context-key",
        "context-revision",
        "X-LLM-Model",
        "Accept",
    ]
)


@on_real_servers
@given(headers=st.lists(st.tuples(NAMES, st.binary(max_size=300)), max_size=8))
async def test_no_header_breaks_the_service(edge: Edge, headers: Any) -> None:
    """With any headers, the answer is the application's, or a refusal with a reason."""
    app = edge(trust_callers=True, overrides={"X-LLM-Model": "llm_config.model"})
    answer: Answer = await ask(app, headers)
    if answer.status != 200:
        assert answer.body["error"]["reason"] in {
            *("INVALID_HEADER", "MALFORMED_REFERENCE", "NOT_FOUND", "TOO_OLD"),
            *("OTHER_USER", "OTHER_AGENT"),
        }

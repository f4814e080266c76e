"""What Explain does not show: values of secret keys, whatever they are."""

import pytest
from google.protobuf.json_format import MessageToDict
from relevo.v1.context_pb2 import ExecutionContext
from relevo_server.settings import Settings
from relevo_server.wire.redaction import Redaction

DEFAULT = Settings().redacted


@pytest.mark.parametrize(
    "key",
    [
        *("api_key", "apiKey", "API-KEY", "api key", "openai_api_key", "openaiApiKey", "X-Api-Key"),
        *("apikey", "password", "db.password", "dbPassword", "secret", "client_secret"),
        *("token", "accessToken", "access_token", "Authorization", "private_key", "_token_"),
    ],
)
def test_secret_keys(key: str) -> None:
    """A key is secret if its words are a secret name or end with one, in any way of writing."""
    assert Redaction(DEFAULT).is_secret(key)


@pytest.mark.parametrize(
    "key",
    [
        *("model", "max_tokens", "maxTokens", "tokens", "tokenizer", "token_limit", "secretary"),
        *("key", "api", "keyApi", "key_api", "passwordless", "notatoken", "", "-"),
    ],
)
def test_keys_that_are_not_secret(key: str) -> None:
    """Other words make a key no secret: not a part of a word, nor the first of several."""
    assert not Redaction(DEFAULT).is_secret(key)


def test_at_any_depth() -> None:
    """Secrets are redacted in objects and lists, whole, and nothing else is changed."""
    context = ExecutionContext(
        user_id="u",
        llm_config={"model": "m", "api_key": "s3cret", "n": 1},
        metadata={
            "secret": {"a": "s3cret", "b": ["s3cret"]},
            "list": [{"password": "s3cret", "user": "u"}, [{"token": 5}], "x"],
            "none": None,
        },
    )
    Redaction(DEFAULT).apply(context)
    assert "s3cret" not in str(context)
    assert MessageToDict(context, preserving_proto_field_name=True) == {
        "user_id": "u",
        "llm_config": {"model": "m", "api_key": "[redacted]", "n": 1.0},
        "metadata": {
            "secret": "[redacted]",
            "list": [{"password": "[redacted]", "user": "u"}, [{"token": "[redacted]"}], "x"],
            "none": None,
        },
    }


def test_a_section_and_no_names() -> None:
    """A section can be secret too. Without names nothing is."""
    context = ExecutionContext(rate_limits={"a": 1}, llm_config={"api_key": "k"})
    Redaction(()).apply(context)
    assert context.llm_config["api_key"] == "k"
    Redaction(("rate_limits",)).apply(context)
    assert context.rate_limits["a"] == "[redacted]"
    assert context.llm_config["api_key"] == "k"

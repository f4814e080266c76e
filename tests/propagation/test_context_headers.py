"""A reference as headers, for requests and messages that no interceptor sees."""

import pytest
from relevo_client import ContextKey, InvalidFieldError, context_headers, use_context
from support.entries import entry_of


def test_the_current_reference() -> None:
    """The two names of the contract, the key in text form; nothing where nothing is current."""
    assert context_headers() == {}
    with use_context(entry_of("u-1", key=ContextKey("a:b", "c", "d"), revision=7)):
        headers = context_headers()
        assert headers == {"context-key": "a%3Ab:c:d", "context-revision": "7"}
        headers.clear()  # the caller's own
        assert len(context_headers()) == 2
        with use_context(None):
            assert context_headers() == {}


def test_a_reference_that_is_too_long() -> None:
    """What no call could carry, no headers do."""
    entry = entry_of("u-1", key=ContextKey("a", "b" * 256, "c" * 256))
    with use_context(entry), pytest.raises(InvalidFieldError):
        context_headers()

"""A reference as headers, for requests and messages without Relevo's interceptors."""

import pytest
from relevo_client import ContextKey, InvalidFieldError, context_headers, use_context
from support.entries import entry_of


def test_the_current_reference() -> None:
    """The headers have the contract's two names, with the key in text form, or are empty."""
    assert context_headers() == {}
    with use_context(entry_of("u-1", key=ContextKey("a:b", "c", "d"), revision=7)):
        headers = context_headers()
        assert headers == {"context-key": "a%3Ab:c:d", "context-revision": "7"}
        headers.clear()  # the caller's own dict
        assert len(context_headers()) == 2
        with use_context(None):
            assert context_headers() == {}


def test_a_reference_that_is_too_long() -> None:
    """A reference that is too long for a call is refused for headers, too."""
    entry = entry_of("u-1", key=ContextKey("a", "b" * 256, "c" * 256))
    with use_context(entry), pytest.raises(InvalidFieldError):
        context_headers()

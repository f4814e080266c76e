"""The tests on the page about tests pass: pytest runs them here as it does for a user."""

from howto.test_answers import (
    stub,
    test_a_change_reaches_the_service,
    test_an_entry_expires,
    test_answer,
)

__all__ = ["stub", "test_a_change_reaches_the_service", "test_an_entry_expires", "test_answer"]

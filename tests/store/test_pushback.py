"""What a server says of a call's repetition, by its error and its times."""

import pytest
from relevo_server import errors
from relevo_server.errors import StoreError
from relevo_server.keys import Key
from relevo_server.service import admission


@pytest.mark.parametrize(
    "error, spent, left, said",
    [
        (errors.unavailable(), 1.0, 1.0, -1),
        (errors.unavailable(), 1.0, None, -1),
        (errors.unavailable(), 0.1, 0.1, -1),
        (errors.unavailable(), 0.001, 0.2, 25),
        (errors.unavailable(), 0.001, 5.0, None),
        (errors.unavailable(), 0.001, None, None),
        (errors.stopping(), 0.0, 0.2, 25),
        (errors.stopping(), 3.0, 0.8, 100),
        (errors.stopping(), 3.0, 5.0, None),
        (errors.stopping(), 3.0, 0.0, 1),
        (errors.too_many_requests(1), 0.0, 0.2, None),
        (errors.contention(Key("a", "b", "c")), 1.0, 1.0, None),
    ],
)
def test_when_a_call_may_be_repeated(
    error: StoreError, spent: float, left: float | None, said: int | None
) -> None:
    """After the store's whole timeout no retry is allowed; if little time is left, it is soon."""
    assert admission.pushback_ms(error, spent, left) == said

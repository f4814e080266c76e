"""`relevo console`: what it refuses, and that it serves until it is stopped."""

import pytest
from support.servers.outcome import Relevo


@pytest.mark.parametrize(
    "arguments, problem",
    [
        (["--listen", "0.0.0.0:7391"], "put a proxy with TLS in front"),
        (["--listen", "7391"], "must be HOST:PORT"),
        (["--listen", "127.0.0.1:x"], "must be HOST:PORT"),
        (["--listen", ":7391"], "must be HOST:PORT"),
        (["--target", ""], "--target: must be an address"),
        (["--cert", "x.pem"], "--cert and --key go together"),
    ],
)
def test_wrong_options(offline: Relevo, arguments: list[str], problem: str) -> None:
    """What would be unsafe or cannot be is refused before anything is served."""
    outcome = offline("console", *arguments)
    assert outcome.code == 2
    assert problem in outcome.err


def test_own_token_in_clear(offline: Relevo, monkeypatch: pytest.MonkeyPatch) -> None:
    """The console's own token does not leave this host without TLS."""
    monkeypatch.setenv("RELEVO_TOKEN", "own-token")
    outcome = offline("console", "--target", "store.example:7390")
    assert outcome.code == 2
    assert "the token would travel unencrypted" in outcome.err
    assert "own-token" not in outcome.err

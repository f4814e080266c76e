"""The `relevo` command, run within the tests' process against a store in memory."""

import io
import sys
from collections.abc import Iterator

import pytest
from relevo_cli import main
from relevo_client.testing import LocalStore
from support.logs import restored_logs
from support.servers.outcome import Outcome, Relevo


@pytest.fixture
def store() -> Iterator[LocalStore]:
    """A store with a clock of its own."""
    with LocalStore() as running:
        yield running


@pytest.fixture
def offline(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Relevo:
    """Runs the command."""

    def run(*arguments: str, stdin: str = "") -> Outcome:
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        capsys.readouterr()
        try:
            with restored_logs():
                code = main(arguments)
        except SystemExit as end:  # as argparse ends the process
            code = end.code if isinstance(end.code, int) else 0
        printed = capsys.readouterr()
        return Outcome(code, printed.out, printed.err)

    return run


@pytest.fixture
def relevo(store: LocalStore, offline: Relevo, monkeypatch: pytest.MonkeyPatch) -> Relevo:
    """Runs the command, with the store as its target."""
    monkeypatch.setenv("RELEVO_TARGET", store.address)
    return offline

"""The commands of the operator's round work, one after the other."""

import shlex
from pathlib import Path

import howto
import pytest
from relevo_cli import main
from relevo_cli.main import parser
from relevo_client import ContextKey, ExecutionContext
from relevo_client.testing import LocalStore
from support.logs import restored_logs

SCRIPT = Path(howto.__file__).with_name("operate.sh")
COMMANDS = [
    shlex.split(line, comments=True)[1:]
    for line in SCRIPT.read_text("utf-8").splitlines()
    if line.startswith("relevo ")
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_round(words: list[str], store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command ends well. Of the probe, which writes for seconds, only the words are read."""
    monkeypatch.setenv("RELEVO_TARGET", store.address)
    store.client.put(ContextKey("conversation", "acme", "c-1"), ExecutionContext(user_id="u-1"))
    if words[0] == "probe":
        assert parser().parse_args(words).run
        return
    with restored_logs():
        assert main(words) == 0


def test_there_is_a_round() -> None:
    """The test above finds the commands of the script."""
    assert [words[0] for words in COMMANDS][:2] == ["check", "status"]

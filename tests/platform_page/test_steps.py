"""Steps that services send to an observer."""

import socket
from contextvars import Context

import pytest
from nooble.configuration import is_secret
from nooble.page.watching import watching
from nooble.settings import PlainSettings
from nooble.steps import HIDDEN, Observer, Step, arrive, settle, used_settings
from support.waiting import until_async

MARKED = "sk-marked-4711"
SETTINGS = PlainSettings(
    llm_config={"model": "m-1", "api_key": MARKED, "max_tokens": 60},
    embedding_config={},
    rag_config={"returns": {"min_score": 0.1, "password": MARKED}, "top_k": 2},
    agent_config={"history_turns": 1, "display_name": "Nora"},
    metadata={"agent_config:acme:support": 3},
)


def tell(observer: Observer, turn: str) -> None:
    """Send a step in a task's context of its own."""

    def step() -> None:
        arrive(turn, "c-1")
        settle("redis", 1.0)
        observer.tell(SETTINGS, ("llm_config", "agent_config.history_turns"), 7)

    Context().run(step)


async def test_an_observer_gets_steps() -> None:
    """A step arrives with its turn, its times, its source, and the settings that it used."""
    steps: list[Step] = []
    async with watching(steps.append) as address:
        observer = Observer(address, "query")
        tell(observer, "t-1")
        await until_async(lambda: steps)
        observer.close()
    (step,) = steps
    assert (step.turn, step.conversation, step.service) == ("t-1", "c-1", "query")
    assert (step.source, step.read, step.store_calls) == ("redis", 1.0, 7)
    assert step.versions == {"agent_config:acme:support": 3}
    assert step.arrived <= step.settled <= step.ended
    assert step.settings == {
        "llm_config.model": "m-1",
        "llm_config.api_key": HIDDEN,
        "llm_config.max_tokens": 60,
        "agent_config.history_turns": 1,
    }
    assert Step.from_datagram(step.to_datagram()) == step


def test_secrets_are_hidden() -> None:
    """Values whose names mark them as secret are in no step, at any depth."""
    used = dict(used_settings(SETTINGS, ("llm_config", "rag_config")))
    assert MARKED not in repr(used)
    assert used["rag_config.returns.password"] == HIDDEN
    assert used["rag_config.returns.min_score"] == 0.1


@pytest.mark.parametrize(
    "name, expected",
    [
        ("api_key", True),
        ("API_KEY", True),
        ("client_secret", True),
        ("secrets", True),
        ("max_tokens", False),
        ("tokens_per_day", False),
        ("keyword", False),
    ],
)
def test_what_a_secret_is(name: str, *, expected: bool) -> None:
    """A setting's name marks it as a secret; numbers of tokens are none."""
    assert is_secret(name) == expected


async def test_nobody_observes() -> None:
    """A service goes on if nobody receives its steps, and sends none outside of turns."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
        gone.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{gone.getsockname()[1]}"
    observer = Observer(address, "query")
    for turn in ("t-1", "t-2"):
        tell(observer, turn)
    Context().run(observer.tell, SETTINGS, (), 0)
    observer.close()


async def test_what_is_no_step_is_dropped() -> None:
    """Datagrams of others do no harm."""
    steps: list[Step] = []
    async with watching(steps.append) as address:
        host, _, port = address.rpartition(":")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for data in (b"", b"no JSON", b"[]", b'{"turn": 1}', b"\xff"):
                sender.sendto(data, (host, int(port)))
        observer = Observer(address, "query")
        tell(observer, "t-1")
        await until_async(lambda: steps)
        observer.close()
    assert [step.turn for step in steps] == ["t-1"]

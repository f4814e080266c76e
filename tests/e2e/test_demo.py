"""`relevo demo` in real processes, on the embedded store and on a real Redis."""

import json
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from relevo_client import ContextKey
from relevo_demo import files
from relevo_look import look
from support.redis.client import RedisClient
from support.servers.command import relevo
from support.servers.outcome import complaints

CHAIN = ["orchestrator", "execution", "query", "embedding"]
CHANGE = files.script().change
RUN = (
    "import sys, pathlib; from relevo_demo.main import run; "
    "sys.exit(run(store=sys.argv[1], record=pathlib.Path(sys.argv[2]), everything=True))"
)


class Demo(NamedTuple):
    """The record of a demo, and the URL of its store."""

    store: str
    record: dict[str, Any]

    @property
    def turns(self) -> list[dict[str, Any]]:
        """All turns in order."""
        turns: list[dict[str, Any]] = self.record["turns"]
        return turns

    def successive(self) -> Generator[tuple[dict[str, Any], dict[str, Any]]]:
        """Each turn with the turn before it in its conversation."""
        latest: dict[str, dict[str, Any]] = {}
        for turn in self.turns:
            if turn["conversation_id"] in latest:
                yield latest[turn["conversation_id"]], turn
            latest[turn["conversation_id"]] = turn


def is_changed(turn: dict[str, Any]) -> bool:
    """Whether a turn is of the changed agent, after the change."""
    agent = (turn["tenant_id"], turn["agent_id"])
    return agent == (CHANGE.tenant_id, CHANGE.agent_id) and turn["number"] > CHANGE.after_round


@pytest.fixture(scope="module", params=["memory", "redis"])
def demo(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Demo]:
    """A completed demo on each backend."""
    store = "memory://"
    if request.param == "redis":
        store = request.getfixturevalue("redis_url")
    file = tmp_path_factory.mktemp("demo") / "record.json"
    done = subprocess.run(
        [sys.executable, "-c", RUN, store, file],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, complaints(done.stderr)) == (0, [])
    yield Demo(store, json.loads(file.read_text("utf-8")))
    if store != "memory://":
        with RedisClient(store) as client:
            client.forget("relevo-demo")


def test_all_services_of_a_turn_work_with_the_same_key(demo: Demo) -> None:
    """A turn passes through four services, and each has the context of its conversation."""
    for turn in demo.turns:
        assert [seen["service"] for seen in turn["seen"]] == CHAIN
        key = ContextKey("conversation", turn["tenant_id"], turn["conversation_id"])
        assert {seen["key"] for seen in turn["seen"]} == {str(key)}


def test_no_service_is_behind_its_caller(demo: Demo) -> None:
    """The reference is a fence: revisions never decrease along the chain."""
    for turn in demo.turns:
        revisions = [seen["revision"] for seen in turn["seen"]]
        assert revisions == sorted(revisions)
        assert revisions[0] > 0


def test_each_service_is_a_process_of_its_own(demo: Demo) -> None:
    """The services are five processes, the same in every turn, which share only the store."""
    started = {service["name"]: service["pid"] for service in demo.record["services"]}
    assert list(started) == CHAIN
    assert len({demo.record["store"]["pid"], *started.values()}) == 5
    for turn in demo.turns:
        assert {seen["service"]: seen["pid"] for seen in turn["seen"]} == started


def test_settings_are_what_the_owner_put(demo: Demo) -> None:
    """Each setting is of the last entry that has it: of the agent, or of its collections."""
    put = {str(key): context for key, context in files.configurations().items()}
    for turn in demo.turns:
        tenant = turn["tenant_id"]
        agent = str(ContextKey("agent_config", tenant, turn["agent_id"]))
        collections = put[agent].rag_config["collections"]
        layers = [agent, *(str(ContextKey("collection_config", tenant, c)) for c in collections)]
        for seen in turn["seen"]:
            assert seen["settings"]
            for path, setting in seen["settings"].items():
                section, _, name = path.partition(".")
                has = {layer: getattr(put[layer], section) for layer in layers}
                (*_, source) = (layer for layer in layers if name in has[layer])
                value = has[source][name]
                if is_changed(turn) and source == agent:
                    value = CHANGE.paths.get(path, value)
                assert setting == {"value": value, "source": source}, path


def test_one_put_changes_every_service(demo: Demo) -> None:
    """After one Put to the agent's entry, its next turn has the new settings in all services."""
    ((before, after),) = [pair for pair in demo.successive() if is_changed(pair[1])]
    for old, new in zip(before["seen"], after["seen"], strict=True):
        changed = {
            path: setting["value"]
            for path, setting in new["settings"].items()
            if setting != old["settings"][path]
        }
        assert changed, new["service"]
        assert changed.items() <= CHANGE.paths.items()
        assert new["revision"] >= demo.record["change"]["revision"] > old["revision"]
    assert before["answer"] != after["answer"]
    assert after["answer"].startswith("In short: ")


def test_no_other_conversation_sees_the_change(demo: Demo) -> None:
    """Other agents, also of the same tenant, keep their settings."""
    others = [pair for pair in demo.successive() if not is_changed(pair[1])]
    assert {turn["agent_id"] for _, turn in others if turn["tenant_id"] == CHANGE.tenant_id} == {
        "support",
        "advisor",
    }
    for before, after in others:
        for old, new in zip(before["seen"], after["seen"], strict=True):
            assert new["settings"] == old["settings"]


def test_answers_are_made_of_the_agents_own_passages(demo: Demo) -> None:
    """The answers consist of passages from the agent's own collections."""
    configurations = files.configurations()
    for turn in demo.turns:
        agent = configurations[ContextKey("agent_config", turn["tenant_id"], turn["agent_id"])]
        sentences = [
            sentence
            for collection in agent.rag_config["collections"]
            for passage in files.passages(turn["tenant_id"], collection)
            for sentence in passage.split(". ")
        ]
        assert any(sentence in turn["answer"] for sentence in sentences), turn["answer"]


def test_the_owner_is_never_asked_again(demo: Demo) -> None:
    """Agent management puts each configuration once, makes one change, and is not called again."""
    assert demo.record["puts"] == len(files.configurations()) + 1
    assert demo.record["problems"] == []


def test_where_contexts_came_from(demo: Demo) -> None:
    """Each service says where its context came from, and how long its handler waited for it.

    A conversation's context is created by the service that it begins in, which has no cache. The
    others ask the store once, and later have it in their near caches.
    """
    later = set[str]()
    for turn in demo.turns:
        first, *others = (seen["context_source"] for seen in turn["seen"])
        if turn["number"] == 1:
            assert (first, {*others}) == ("loader", {"store"})
        else:
            assert first == "store"
            later |= {*others}
        assert all(0 < seen["wait"] < turn["seconds"] for seen in turn["seen"])
    assert "near_cache" in later
    assert later <= {"near_cache", "store"}


def test_everything_is_printed_for_people(demo: Demo) -> None:
    """`relevo demo --all` works on a store that was used before, and fits into 100 columns."""
    done = relevo("demo", "--all", "--store", demo.store, environment={"COLUMNS": "100"})
    assert (done.code, complaints(done.err)) == (0, [])
    assert max(map(len, done.out.splitlines())) <= 100
    for expected in (
        "gpt-4o-mini → gpt-4o",
        "collection_config:lumen:tariffs",
        "conversation:lumen:b-77",
        "held in 12 of 12 turns",
    ):
        assert expected in done.out


def test_two_screens_are_printed_for_people(tmp_path: Path) -> None:
    """`relevo demo` plays one conversation, and prints plain text of 100 columns into a pipe."""
    file = tmp_path / "record.json"
    done = relevo("demo", "--json", str(file), environment={"COLUMNS": "100"})
    assert (done.code, complaints(done.err)) == (0, [])
    assert "\x1b" not in done.out
    lines = done.out.splitlines()
    assert len(lines) <= 100
    assert max(map(len, lines)) <= 100
    turns = json.loads(file.read_text("utf-8"))["turns"]
    assert len(turns) == 4
    assert turns[2]["text"] == turns[3]["text"]
    assert turns[2]["answer"] != turns[3]["answer"]
    marked = [
        line.split(look.CHANGED)[1].split()[0] for line in lines if f"{look.CHANGED} " in line
    ]
    changed = {path.partition(".")[2] for path in CHANGE.paths}
    assert changed <= {*marked}

"""The way of a turn, and the promises that it kept or broke."""

import pytest
from nooble.page.way import rows
from nooble.page.words import ACKNOWLEDGED, ERRORS, error
from nooble.wiring import MODES
from platform_page.made import AGENT, BEGAN, step, turn


def test_rows_stand_in_the_order_of_arrival() -> None:
    """A step that ends later may have begun earlier: query waits for embedding."""
    steps = (
        step("embedding", 0.03),
        step("query", 0.02, ended=BEGAN + 0.09),
        step("execution", 0.01),
    )
    way = rows(turn(*steps), None)
    assert [row.service for row in way] == ["execution", "query", "embedding"]
    assert [row.begin for row in way] == [10.0, 20.0, 30.0]
    assert all(row.begin <= row.settled <= row.end <= 100 for row in way)


def test_what_changed_since_the_last_turn() -> None:
    """A value is shown with its last one, if that differs; a new service has nothing to compare."""
    before = turn(step(settings={"rag_config.top_k": 2, "rag_config.same": 1}))
    now = turn(
        step(settings={"rag_config.top_k": 3, "rag_config.same": 1, "rag_config.new": True}),
        step("embedding", 0.03, settings={"embedding_config.model": "m"}),
        number=2,
    )
    query, embedding = rows(now, before)
    assert {value.path: (value.before, value.text) for value in query.values} == {
        "rag_config.new": ("absent", "true"),
        "rag_config.same": (None, "1"),
        "rag_config.top_k": ("2", "3"),
    }
    assert [value.before for value in embedding.values] == [None]


def test_versions() -> None:
    """A version that is not the last turn's is new; one below the acknowledged is outdated."""
    before = turn(step(versions={AGENT: 1}))
    now = turn(step(versions={AGENT: 2}), number=2, due={AGENT: 3})
    (row,) = rows(now, before)
    (version,) = row.versions
    assert (version.name, version.number, version.due) == ("support", 2, 3)
    assert version.is_changed
    assert version.is_outdated
    assert now.outdated == {AGENT}


def test_a_broken_promise() -> None:
    """Services of one turn that use different versions or values stand out."""
    now = turn(
        step(versions={AGENT: 1}, settings={"llm_config.model": "a"}),
        step("execution", 0.03, versions={AGENT: 2}, settings={"llm_config.model": "b"}),
    )
    assert now.disagreed == {AGENT}
    assert now.differing == {"llm_config.model"}
    assert all(row.versions[0].is_different for row in rows(now, None))
    assert all(row.values[0].is_different for row in rows(now, None))


def test_a_kept_promise() -> None:
    """Services that use the same, which is the newest, break nothing."""
    now = turn(step(), step("execution", 0.03), due={AGENT: 1})
    assert not now.outdated
    assert not now.disagreed
    assert not now.differing
    assert not now.is_last_known


@pytest.mark.parametrize(
    "source, read, expected",
    [
        ("near_cache", None, "proven current, 0.75 s ago at most"),
        ("store", None, "just read"),
        ("loader", None, "just created"),
        ("last_known", None, "unknown: the store could not be asked"),
        ("management", BEGAN + 0.012, "just read"),
        ("redis", BEGAN - 29.988, "30 s"),
        ("", None, "unknown"),
    ],
)
def test_the_age_of_a_first_step(source: str, read: float | None, expected: str) -> None:
    """The age says how old the settings were, by their source."""
    (row,) = rows(turn(step(source=source, read=read)), None)
    assert row.age == expected


def test_the_age_of_later_steps() -> None:
    """With Relevo, later services work with what the turn began with, and say when that was."""
    _, row = rows(turn(step("orchestrator", 0.0), step("query", 0.05)), None)
    assert row.age == "of this turn, which began 50 ms before"


def test_every_mode_and_error_has_words() -> None:
    """Each mode explains its acknowledgement; an error without words of its own has some, too."""
    assert ACKNOWLEDGED.keys() == set(MODES)
    assert error("TIMEOUT") == ERRORS["TIMEOUT"]
    assert error("NEVER_HEARD_OF")

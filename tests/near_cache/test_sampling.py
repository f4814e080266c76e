"""The sampler's verdicts are never false alarms, and find copies that are wrong or stay too old."""

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from relevo_client import ContextKey, ExecutionContext
from relevo_client._client.sampling import (
    State,
    Verdict,
    absence_of,
    is_missing,
    is_stale,
    verdict,
)
from relevo_client._near_cache.state import ABSENT

HEAD, LAYER = ContextKey("conversation", "acme", "c"), ContextKey("agent_config", "acme", "a")
MAX_STALENESS = 10


def state(**versions: int) -> State:
    """An answer by the versions of its parts, whose contexts are those of the versions."""
    keys = {"head": HEAD, "layer": LAYER}
    known = {keys[name]: version for name, version in versions.items()}
    contexts = {key: context(version) for key, version in known.items() if version}
    return State(known, contexts)


def context(version: int) -> ExecutionContext:
    """The context that was written with a version."""
    return ExecutionContext(metadata={"version": version})


@pytest.mark.parametrize(
    "answer, stored, expected",
    [
        (state(head=5, layer=3), state(head=5, layer=3), Verdict.CURRENT),
        (state(head=5), state(head=6), None),
        (state(head=5, layer=3), state(head=5, layer=7), None),
        (state(head=5), state(head=ABSENT), None),
        (state(head=ABSENT), state(head=5), None),
        (state(head=ABSENT), state(head=ABSENT), Verdict.CURRENT),
        (state(head=5, layer=3), state(layer=ABSENT), None),
        (state(head=5), state(head=4), Verdict.WRONG),
        (state(head=5, layer=3), state(head=6, layer=2), Verdict.WRONG),
        (state(head=5), State({HEAD: 5}, {HEAD: context(4)}), Verdict.WRONG),
    ],
)
def test_verdicts(answer: State, stored: State, expected: Verdict | None) -> None:
    """An older version in the store, or another context under the same one, is wrong."""
    assert verdict(answer, stored) is expected


def test_compositions_of_different_parts() -> None:
    """What a head shows of a layer that has changed is no other context of the head."""
    stored = State({HEAD: 5, LAYER: 7}, {HEAD: context(77), LAYER: context(7)})
    assert verdict(state(head=5, layer=3), stored) is None
    stored = State({HEAD: 5, LAYER: 3}, {HEAD: context(77), LAYER: context(3)})
    assert verdict(state(head=5, layer=3), stored) is Verdict.WRONG
    stored = State({HEAD: 6, LAYER: 3}, {HEAD: context(6), LAYER: context(4)})
    assert verdict(state(head=5, layer=3), stored) is Verdict.WRONG


@pytest.mark.parametrize(
    "stored, later, expected",
    [
        (state(head=6), state(head=5), True),
        (state(head=6), state(head=6), False),
        (state(head=6), state(head=9), False),
        (state(head=ABSENT), state(head=5), True),
        (state(head=ABSENT), state(head=7), False),
        (state(head=6), state(head=ABSENT), False),
    ],
)
def test_what_had_ended_before(stored: State, later: State, expected: bool) -> None:
    """A second look that shows what had ended `max_staleness` before is stale."""
    assert is_stale(state(head=5), stored, later) is expected


class Era(NamedTuple):
    """A state of the store, from a time on."""

    since: int
    versions: dict[ContextKey, int]


@st.composite
def histories(draw: st.DrawFn) -> Sequence[Era]:
    """States of the store: entries are written, end and are written again."""
    steps = draw(st.lists(st.tuples(st.integers(0, 9), st.booleans(), st.booleans()), max_size=12))
    eras = [Era(0, {HEAD: 1, LAYER: 2})]
    times = accumulate(pause for pause, _, _ in steps)
    for version, (time, (_, is_head, ends)) in enumerate(zip(times, steps, strict=True), start=3):
        changed = {HEAD if is_head else LAYER: ABSENT if ends else version}
        eras.append(Era(time, {**eras[-1].versions, **changed}))
    return eras


def shown(eras: Sequence[Era], time: int) -> State:
    """The answer for the head, with its layer, as of a time."""
    versions = [era.versions for era in eras if era.since <= time][-1]
    if not versions[HEAD]:
        return absence_of(HEAD)
    if not versions[LAYER]:
        return absence_of(LAYER)
    return state(head=versions[HEAD], layer=versions[LAYER])


ages, pauses = st.integers(0, MAX_STALENESS - 1), st.integers(0, 20)


@given(histories(), st.data(), ages, ages)
def test_no_false_alarm(eras: Sequence[Era], data: st.DataObject, age: int, later_age: int) -> None:
    """Whatever happens in between: what keeps its promises is neither stale nor wrong."""
    answered = data.draw(pauses)
    answer = shown(eras, max(0, answered - age))
    if HEAD not in answer.versions:
        return  # a near cache does not say that a layer is missing
    read = answered + data.draw(pauses)  # takes effect at some time after the answer
    ended = read + data.draw(pauses)
    stored = shown(eras, read)
    found = verdict(answer, stored)
    assert found is not Verdict.WRONG
    looked = ended + MAX_STALENESS + data.draw(pauses)
    later = shown(eras, looked - later_age)
    assert not is_stale(answer, stored, later)
    if HEAD in later.versions and is_missing(HEAD, stored, later):
        again = shown(eras, looked + data.draw(pauses))
        assert again.versions.get(HEAD) != stored.versions[HEAD]

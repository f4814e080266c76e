"""The look: every thing that is shown has a word of its own, and a colour."""

import re
from collections.abc import Mapping

import pytest
from nooble.questions import calls_per_turn
from nooble.records import Record, result_of
from nooble.wiring import MODES
from relevo_client import ContextSource
from relevo_look import look
from relevo_look.look import Look


@pytest.mark.parametrize("looks", [look.SOURCES, look.MODES, look.CALLS])
def test_looks_differ(looks: Mapping[str, Look]) -> None:
    """Of two things that are shown together, neither word nor colour is the same."""
    assert len({each.word for each in looks.values()}) == len(looks)
    assert len({each.colour for each in looks.values()}) == len(looks)
    for each in looks.values():
        assert re.fullmatch("#[0-9a-f]{6}", each.colour)


def test_each_source_has_a_look() -> None:
    """Whatever source a context has, there is a word for it, the nearest source first."""
    assert [*look.SOURCES] == [source.value for source in ContextSource]


def test_each_mode_and_kind_of_call_has_a_look() -> None:
    """The platform's modes and kinds of calls are those that have a look, in its order."""
    assert [*look.MODES] == [*MODES]
    assert [*look.CALLS] == [*calls_per_turn(result_of(Record("relevo")))]

"""The differences that `relevo watch` shows, and the paths of values."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from relevo_cli.diff import differences
from relevo_cli.documents import Json
from relevo_cli.values import flat, members

_NAMES = st.text("ab.`[0]", max_size=3)
_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from([0.5, "", "a"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3),
    max_leaves=8,
)
_DOCUMENTS = st.dictionaries(_NAMES, _VALUES, max_size=4)


def canonical(value: Any) -> str:
    """A document as text, in which 1 and true differ."""
    return json.dumps(value, sort_keys=True)


@given(old=_DOCUMENTS, new=_DOCUMENTS)
def test_differences_lead_from_the_old_to_the_new(old: Any, new: Any) -> None:
    """Applied to the values of the old document, they give those of the new one."""
    found = differences(old, new)
    values = dict(members(old))
    for each in found:
        if each.sign == "+":
            assert each.path not in values
        else:
            assert canonical(values.pop(each.path)) == canonical(each.old)
        if each.sign != "-":
            values[each.path] = each.new
    assert canonical(values) == canonical(dict(members(new)))
    assert (found == []) == (canonical(old) == canonical(new))


@given(one=_DOCUMENTS, other=_DOCUMENTS)
def test_no_path_can_be_another(one: Any, other: Any) -> None:
    """Documents that differ have other values under some path, whatever their names are."""
    assert len([*flat(one)]) == len(dict(flat(one)))
    same = canonical([*flat(one)]) == canonical([*flat(other)])
    assert not same or canonical(one) == canonical(other)


def test_the_form_of_differences() -> None:
    """Added, removed and replaced values are told apart, and true is not 1."""
    old: Json = {"a": {"x": 1, "odd-name": [1]}, "gone": "g", "same": {}}
    new: Json = {"a": {"x": True, "odd-name": [1, "z"]}, "same": {}}
    assert [each.text for each in differences(old, new)] == [
        '+ a.`odd-name`[1]  "z"',
        "~ a.x  1 → true",
        '- gone  "g"',
    ]
    assert differences(old, new)[1].document == {
        "sign": "~",
        "path": "a.x",
        "old": 1,
        "new": True,
    }

"""The values of a context are dicts and lists that cannot be changed."""

import copy
import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError
from relevo_client import ExecutionContext

PLAIN: dict[str, Any] = {"model": "m", "stop": [3, {"b": [1]}, 2], "deep": {"er": {"x": None}}}

CHANGES_OF_A_DICT: dict[str, Callable[[Any], object]] = {
    "d[k] = v": lambda d: d.__setitem__("new", 1),
    "d[k] = another": lambda d: d.__setitem__("model", 1),
    "del d[k]": lambda d: d.__delitem__("model"),
    "d |= other": lambda d: d.__ior__({"new": 1}),
    "clear": lambda d: d.clear(),
    "pop": lambda d: d.pop("model"),
    "pop with a default": lambda d: d.pop("none", 1),
    "popitem": lambda d: d.popitem(),
    "setdefault": lambda d: d.setdefault("new", 1),
    "setdefault of what is there": lambda d: d.setdefault("model", 1),
    "update": lambda d: d.update(new=1),
    "an attribute": lambda d: setattr(d, "new", 1),
}

CHANGES_OF_A_LIST: dict[str, Callable[[Any], object]] = {
    "l[i] = v": lambda x: x.__setitem__(0, 1),
    "l[i:j] = v": lambda x: x.__setitem__(slice(0, 1), [1]),
    "del l[i]": lambda x: x.__delitem__(0),
    "l += other": lambda x: x.__iadd__([1]),
    "l *= 2": lambda x: x.__imul__(2),
    "append": lambda x: x.append(1),
    "clear": lambda x: x.clear(),
    "extend": lambda x: x.extend([1]),
    "insert": lambda x: x.insert(0, 1),
    "pop": lambda x: x.pop(),
    "remove": lambda x: x.remove(3),
    "reverse": lambda x: x.reverse(),
    "sort": lambda x: x.sort(key=str),
    "an attribute": lambda x: setattr(x, "new", 1),
}


@pytest.fixture
def context() -> ExecutionContext:
    """A context with nested dicts and lists."""
    return ExecutionContext(user_id="u", llm_config=PLAIN)


@pytest.mark.parametrize("change", CHANGES_OF_A_DICT.values(), ids=CHANGES_OF_A_DICT)
def test_dicts_refuse_every_change(
    context: ExecutionContext, change: Callable[[Any], object]
) -> None:
    """No method of a dict changes a section, or a dict within one."""
    for dictionary in (context.llm_config, context.llm_config["deep"]):
        with pytest.raises((TypeError, AttributeError)):
            change(dictionary)
    assert context.llm_config == PLAIN


@pytest.mark.parametrize("change", CHANGES_OF_A_LIST.values(), ids=CHANGES_OF_A_LIST)
def test_lists_refuse_every_change(
    context: ExecutionContext, change: Callable[[Any], object]
) -> None:
    """No method of a list changes a list within a section."""
    with pytest.raises((TypeError, AttributeError)):
        change(context.llm_config["stop"])
    assert context.llm_config == PLAIN


def test_no_change_is_left_out() -> None:
    """The tests call all methods that change a dict or a list."""
    harmless = {"copy", "count", "fromkeys", "get", "index", "items", "keys", "values"}
    for kind, changes in ((dict, CHANGES_OF_A_DICT), (list, CHANGES_OF_A_LIST)):
        methods = {name for name in dir(kind) if not name.startswith("_")} - harmless
        assert methods <= {name.split()[0] for name in changes}


def test_fields_cannot_be_set(context: ExecutionContext) -> None:
    """A field of a context cannot be set, deleted or added."""
    with pytest.raises(ValidationError):
        context.user_id = "another"
    with pytest.raises(ValidationError):
        del context.user_id
    with pytest.raises(ValidationError):
        context.new = 1  # type: ignore[attr-defined]
    assert context == ExecutionContext(user_id="u", llm_config=PLAIN)


def test_what_was_given_is_copied() -> None:
    """A context is independent of the dict that it was created from."""
    given = copy.deepcopy(PLAIN)
    context = ExecutionContext(llm_config=given)
    given["stop"].append("changed")
    given["deep"]["er"]["x"] = "changed"
    assert context.llm_config == PLAIN


def test_they_are_dicts_and_lists(context: ExecutionContext) -> None:
    """json.dumps, `**`, `|`, comparisons and isinstance see a plain dict."""
    section = context.llm_config
    assert isinstance(section, dict)
    assert isinstance(section["stop"], list)
    assert json.dumps(section) == json.dumps(PLAIN)
    assert {**section} == section == PLAIN
    assert section | {"model": "other"} == {**PLAIN, "model": "other"}
    assert section["stop"] + [4] == [*PLAIN["stop"], 4]


def test_deepcopy_of_a_section_can_be_changed(context: ExecutionContext) -> None:
    """A deep copy of a section consists of plain dicts and lists, which can be changed."""
    mine = copy.deepcopy(context.llm_config)
    assert mine == PLAIN
    mine["stop"][1]["b"].append(2)
    mine["deep"]["er"]["x"] = 1
    inner = copy.deepcopy(context.llm_config["stop"])
    inner.append(4)
    assert context.llm_config == PLAIN


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickle(context: ExecutionContext, protocol: int) -> None:
    """A context survives pickle, and is frozen afterwards."""
    read: ExecutionContext = pickle.loads(pickle.dumps(context, protocol))  # noqa: S301 - ours
    assert read == context
    assert_frozen(read)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy], ids=lambda f: f.__name__)
def test_copies_of_a_context_are_frozen(
    context: ExecutionContext, copied: Callable[[ExecutionContext], ExecutionContext]
) -> None:
    """A copy of a context is equal, and frozen at every level."""
    copy_of_it = copied(context)
    assert copy_of_it == context
    assert_frozen(copy_of_it)


def assert_frozen(context: ExecutionContext) -> None:
    """Check that sections and the values in them refuse changes."""
    section: Any = context.llm_config
    with pytest.raises(TypeError):
        section["model"] = "changed"
    with pytest.raises(TypeError):
        section["stop"].append("changed")
    with pytest.raises(TypeError):
        section["stop"][1]["b"].append("changed")

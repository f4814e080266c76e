"""What `repr` and `str` show of values that hold contexts, tokens or metadata: names and sizes."""

import dataclasses
import importlib
import logging
import pkgutil
import traceback
import types
import typing
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import relevo_client
import relevo_server
from google.protobuf.message import Message
from pydantic import BaseModel, ValidationError
from relevo_client import (
    ContextEntry,
    ContextKey,
    ContextRef,
    ExecutionContext,
    LostContext,
    NotFoundError,
    use_context,
)
from relevo_client._context.deferred import BlockingDeferred
from relevo_client._context.resolved import Rebuilt
from relevo_client._store.leases import Lease
from relevo_client._store.snapshots import snapshot_of
from relevo_client.actions import DomainAction
from relevo_client.testing._calls import CarriedCall
from relevo_server.identities import Principal
from relevo_server.settings import Settings

MARK = "s3cret-value"
KEY = ContextKey("conversation", "acme", "c1")
CONTEXT = ExecutionContext(
    user_id=MARK,
    session_id=MARK,
    llm_config={"model": MARK, "nested": {"list": [MARK, 1]}},
    metadata={"note": MARK},
)
ENTRY = ContextEntry(
    key=KEY,
    context=CONTEXT,
    version=7,
    revision=7,
    partition=0,
    expire_time=datetime(2030, 1, 1, tzinfo=UTC),
    ttl=timedelta(minutes=5),
    layers=(),
)
_FIELDS: Any = {"extra": MARK}  # a name that only a newer contract knows
ACTION = DomainAction(
    action_id="a-1",
    action_type="orders.order.place",
    context_ref=ENTRY.ref,
    user_id=MARK,
    payload={"error": {"reason": "NO_STOCK", "message": MARK}},
    metadata={"note": MARK},
    trace_context={"tracestate": MARK},
    **_FIELDS,
)
SECRET_METADATA = (("authorization", f"Bearer {MARK}"),)

VALUES: dict[str, object] = {
    "context": CONTEXT,
    "entry": ENTRY,
    "entry with layers": dataclasses.replace(ENTRY, layers=(ENTRY,)),
    "signed reference": ContextRef(KEY, 7, MARK),
    "action": ACTION,
    "failure of an action": ACTION.error,
    "lost context": LostContext("/a.B/C", ENTRY.ref, SECRET_METADATA, NotFoundError("", reason="")),
    "rebuilt context": Rebuilt(ENTRY.ref, CONTEXT),
    "snapshot": snapshot_of(ENTRY),
    "deferred context": BlockingDeferred(ENTRY.ref, lambda: ENTRY),
    "lease": Lease(KEY, MARK),
    "call of a test": CarriedCall("/a.B/C", SECRET_METADATA),
}


def ways_to_show(value: object) -> Iterator[str]:
    """What the ways to make a text of a value return."""
    yield repr(value)
    yield str(value)
    yield f"{value}"
    yield f"{value!r}"
    yield f"{[value]} { ({1: value}) } {(value,)}"
    record = logging.LogRecord("a", logging.INFO, "b", 1, "%r and %s", (value, value), None)
    yield record.getMessage()
    error = RuntimeError(value)
    error.add_note(f"{value}")
    yield "".join(traceback.format_exception(error))


@pytest.mark.parametrize("name", VALUES)
def test_no_value_is_shown(name: str) -> None:
    """No way to make a text of a value of the client shows what a context holds."""
    value = VALUES[name]
    assert value is not None
    for text in ways_to_show(value):
        assert MARK not in text


def test_the_public_types_are_covered() -> None:
    """Each public class that can hold a context or metadata is among the values above."""
    public: list[Any] = [getattr(relevo_client, name) for name in relevo_client.__all__]
    holders: set[Any] = {ExecutionContext}
    for cls in (each for each in public if isinstance(each, type) and _is_value(each)):
        if not issubclass(cls, BaseModel):
            nested = {leaf for hint in hints_of(cls).values() for leaf in leaves(hint)}
            fields = set(risky_fields(cls)) - _NAMES - SHOWN.get(cls.__name__, set())
            if fields or ExecutionContext in nested:
                holders.add(cls)
    assert holders <= {type(value) for value in VALUES.values()}
    assert len(holders) == 4


def test_what_is_shown() -> None:
    """Names and sizes are shown, and of an action its id, type and reference."""
    assert repr(CONTEXT) == (
        "ExecutionContext(session_id=<12 characters>, user_id=<12 characters>, "
        "llm_config=<2 keys>, metadata=<1 keys>)"
    )
    assert str(CONTEXT) == repr(CONTEXT).removeprefix("ExecutionContext(").removesuffix(
        ")"
    ).replace(",", "")
    assert "id='c1'" in repr(ENTRY)
    assert "llm_config=<2 keys>" in repr(ENTRY)
    assert repr(ACTION).startswith(
        "DomainAction(action_id='a-1', action_type='orders.order.place', user_id=<12 characters>, "
        "context_ref='conversation:acme:c1@7', payload=<1 keys>"
    )
    assert repr(ACTION.error) == "ActionFailure(reason='NO_STOCK', message=<12 characters>)"
    assert repr(LostContext("/a.B/C", None, SECRET_METADATA, None)) == (
        "LostContext(method='/a.B/C', ref=None, metadata=<1 items>, error=None)"
    )


def test_sections_are_plain_dicts() -> None:
    """A section is a dict like any other: who takes it out shows it."""
    assert repr(CONTEXT.metadata) == repr({"note": MARK})


@pytest.mark.parametrize(
    "break_rules",
    [
        lambda: ExecutionContext.model_validate({"user_id": [MARK]}),
        lambda: ExecutionContext.model_validate({"llm_config": MARK}),
        lambda: ExecutionContext.model_validate({"created_at": MARK}),
        lambda: ExecutionContext.model_validate({"includes": [MARK]}),
        lambda: ExecutionContext.model_validate({"llm_config": {"a": {MARK}}}),
        lambda: ExecutionContext.model_validate_json(f'{{"user_id": "{MARK}"'),
        lambda: ExecutionContext.model_validate(MARK),
        lambda: CONTEXT.update(context_id={MARK}),
        lambda: setattr(CONTEXT, "user_id", MARK),
        lambda: setattr(CONTEXT, "no_field", MARK),
        lambda: DomainAction.model_validate({"action_type": MARK}),
        lambda: DomainAction.model_validate_json(f'{{"payload": "{MARK}"}}'),
        lambda: ACTION.update(payload=MARK),
        lambda: setattr(ACTION, "user_id", MARK),
        lambda: setattr(ACTION, "extra", MARK),
        lambda: Principal(name=MARK * 40, token_sha256=MARK, tenants=("*",)),
        lambda: Settings.model_validate({"principals": [{"name": "a", "token_sha256": MARK}]}),
    ],
)
def test_refusals_quote_no_values(break_rules: Any) -> None:
    """What refuses a value names the field, and neither its text nor its traceback quotes it."""
    with pytest.raises((ValidationError, ValueError)) as raised:
        break_rules()
    assert MARK not in str(raised.value)
    assert MARK not in repr(raised.value)
    text = "".join(traceback.format_exception(raised.value))
    assert MARK not in text


def test_use_context_quotes_no_value() -> None:
    """The refusal of something that is no context names its type only."""
    value: Any = MARK
    with pytest.raises(TypeError) as raised, use_context(value):
        pass
    assert MARK not in str(raised.value)


# Every value type, of both sides, private ones too: they are in tracebacks and debuggers.

_NAMES = {
    *("cursor", "fields", "id", "key", "kind", "method", "name", "path", "principal", "reason"),
    *("scope", "service_name", "tenant_id", "text"),
}
"""Fields of any class that name something, or hold a fixed text."""
SHOWN = {
    "AbandonedEntry": {"entry"},
    "Address": {"host"},
    "Answer": {"message"},
    "CacheOptions": {"service_version"},
    "CachedContext": {"mark"},  # random
    "Caller": {"grants", "tenants"},
    "Choice": {"case"},
    "Counts": {"leases", "lookups", "quota_refusals", "resets"},
    "DatabaseStatus": {"eviction_policy", "version"},
    "Delivery": {"entry", "queue"},
    "Ended": {"problems"},  # of settings, which quote no secrets
    "Failure": {"detail"},  # "contains none of its values"
    "Family": {"help", "unit"},
    "Finding": {"advice", "check"},
    "Inspection": {"group"},
    "Get": {"readable"},
    "Instrument": {"attribute", "description", "unit"},
    "KeyName": {"algorithm", "id"},
    "Keys": {"left_out"},  # ids of keys, and reasons
    "Once": {"fingerprint", "request_id"},  # digests and names
    "Override": {"convert"},  # a function
    "Partition": {"floors", "held", "requests"},  # names, and digests with answers without contexts
    "Patch": {"original", "paths", "replacement"},  # functions, or paths of a mask
    "Problem": {"description"},
    "Record": {"changed", "peer", "status"},
    "Rewrapped": {"primary"},
    "Sample": {"labels"},
    "SectionViolation": {"description", "entries"},  # rules of the model, and keys
    "Stream": {"client", "requests"},  # Subscribes, Touches and Pings
    "Subject": {"tenant"},
    "Wanted": {"metrics_listen"},
    "WatchMessage": {"client", "report"},
    "Write": {"key_id"},
    "_CallDetails": {"compression"},
    "_Frame": {"after", "before"},  # what surrounds a context: key, times, numbers
    "_Guarded": {"closed", "open"},
    "_Kind": {"host", "status"},
    "_Order": {"times"},
    "_Parsed": {"violations"},
    "_State": {"digest"},
    "_Within": {"outer"},
}
"""Further fields that hold no values of contexts, no tokens and no passwords, by class."""


def value_types() -> list[Any]:
    """The NamedTuples, dataclasses and models of the client and the server."""
    found: set[Any] = set()
    for package in (relevo_client, relevo_server):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if module.name.endswith("__main__"):
                continue
            for each in vars(importlib.import_module(module.name)).values():
                if isinstance(each, type) and each.__module__ == module.name and _is_value(each):
                    found.add(each)
    return sorted(found, key=lambda each: (each.__module__, each.__name__))


def _is_value(cls: Any) -> bool:
    is_named_tuple = hasattr(cls, "_fields")
    return is_named_tuple or issubclass(cls, BaseModel) or hasattr(cls, "__dataclass_fields__")


def hints_of(cls: Any) -> dict[str, Any]:
    """The types of a class's fields."""
    hints = typing.get_type_hints(cls)
    names = getattr(cls, "_fields", None)
    if names is None:
        names = [each.name for each in dataclasses.fields(cls)]
    return {name: hints[name] for name in names}


def leaves(hint: Any) -> Iterator[Any]:
    """The types in a type."""
    arguments = typing.get_args(hint)
    origin: Any = typing.get_origin(hint)
    if origin is typing.Literal or getattr(origin, "__name__", "") == "Callable":
        return
    if not arguments:
        yield hint
    for each in arguments:
        if not isinstance(each, (list, types.EllipsisType)):
            yield from leaves(each)


def risky_fields(cls: Any) -> Iterator[str]:
    """The fields that can hold a text, bytes or a message: a value, that is."""
    if issubclass(cls, BaseModel):
        return
    for name, hint in hints_of(cls).items():
        for leaf in leaves(hint):
            is_text = leaf in (str, bytes, object, Any, dict, list, tuple)
            if is_text or (isinstance(leaf, type) and issubclass(leaf, Message)):
                yield name


def blank(cls: Any, fields: dict[str, object]) -> object:
    """An instance with these fields, whatever its constructor wants."""
    if hasattr(cls, "_fields"):
        return cls(**fields)
    made: object = object.__new__(cls)
    for name, value in fields.items():
        object.__setattr__(made, name, value)
    return made


def test_value_types_hide_what_may_be_a_value() -> None:
    """Whatever can hold a text or bytes is hidden by `repr`, unless it is known to be a name."""
    types_found = value_types()
    assert len(types_found) > 100
    for cls in types_found:
        if issubclass(cls, BaseModel):
            assert cls.model_config.get("hide_input_in_errors"), cls
            continue
        fields: dict[str, object] = {name: f"<<{name}>>" for name in hints_of(cls)}
        text = repr(blank(cls, fields))
        shown = {name for name in risky_fields(cls) if f"<<{name}>>" in text}
        assert shown <= _NAMES | SHOWN.get(cls.__name__, set()), cls

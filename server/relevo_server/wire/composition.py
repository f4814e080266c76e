"""Composes a context with its layers, and says which entry each of its values came from.

The rules are those of the contract, by which clients compose: section by section, key by key, the
layers in the order of `includes`, the entry itself last. All other fields are the entry's own.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from google.protobuf.struct_pb2 import Struct, Value
from relevo.v1.context_pb2 import ExecutionContext

from relevo_server.wire import masks
from relevo_server.wire.masks import Path

_UPDATE_TIME = "update_time"  # the store's, and no value
_FIELDS = [f for f in ExecutionContext.DESCRIPTOR.fields if f.name != _UPDATE_TIME]
SECTIONS = tuple(f.name for f in _FIELDS if f.message_type is Struct.DESCRIPTOR)
_MAX_PATHS = 512 << 10
"""Bytes. A deep section with long keys has paths of many times its own size."""


class Origin(NamedTuple):
    """The origin of a value."""

    path: str
    """The value's path, as in an update mask."""
    part: int
    """The number of the part that has it."""


def compose(parts: Sequence[ExecutionContext]) -> ExecutionContext:
    """The composition of contexts: the layers in their order, and the entry's own last."""
    composed = ExecutionContext()
    composed.CopyFrom(parts[-1])
    for name in SECTIONS:
        target = getattr(composed, name)
        for part in reversed(parts[:-1]):
            for key, value in getattr(part, name).fields.items():
                if key not in target.fields:
                    target.fields[key].CopyFrom(value)
    return composed


def origins(composed: ExecutionContext, parts: Sequence[ExecutionContext]) -> Iterator[Origin]:
    """The origin of each value of the composition of these parts, by path.

    Within a section, a value is anything but an object that has keys. All values under one key of
    the section came from the same part. If the paths take more than 512 KiB, further ones name
    only that key.
    """
    last = len(parts) - 1
    room = _MAX_PATHS
    for field, value in composed.ListFields():
        if field.name == _UPDATE_TIME:
            continue
        if field.name not in SECTIONS:
            yield Origin(field.name, last)
            continue
        for key in sorted(value.fields):
            part = max(i for i, each in enumerate(parts) if key in getattr(each, field.name).fields)
            path = (field.name, key)
            paths: list[str] = []
            for leaf in _leaves(path, value.fields[key]):
                paths.append(masks.text(leaf))
                room -= len(paths[-1].encode())
                if room < 0:
                    paths = [masks.text(path)]
                    break
            for text in paths:
                yield Origin(text, part)


def _leaves(path: Path, value: Value) -> Iterator[Path]:
    fields = value.struct_value.fields  # none if it is no object
    if not fields:
        yield path
    for key in sorted(fields):
        yield from _leaves((*path, key), fields[key])

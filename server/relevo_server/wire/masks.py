"""Update masks: the parts of a context that a Put writes.

Paths follow AIP-161 (https://google.aip.dev/161), with the keys of the sections
as map keys: `user_id`, `llm_config`, `llm_config.model`, `` llm_config.`top-p` ``.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.struct_pb2 import Struct
from relevo.v1.context_pb2 import ExecutionContext

from relevo_server.errors import Violation
from relevo_server.hiding import hides
from relevo_server.keys import Key
from relevo_server.storage.interface import Stored
from relevo_server.wire import entries

Path = tuple[str, ...]

_SEGMENT = re.compile(r"`((?:[^`]|``)*)`|([A-Za-z_][A-Za-z0-9_]*)")
_PLAIN = re.compile("[A-Za-z_][A-Za-z0-9_]*")
_MAX_NAMES = 1024
MAX_PATHS = 1000
"""The most different paths of a mask."""
MAX_BYTES = 64 << 10
"""The greatest size of a mask, serialized."""
_FIELDS = ExecutionContext.DESCRIPTOR.fields_by_name
_OUTPUT_ONLY = "update_time"


@hides("source")
class Patch(NamedTuple):
    """The parts of a context that a Put with a mask writes."""

    paths: Sequence[Path]
    source: ExecutionContext
    """The context that has the new values."""

    def applied_to(self, key: Key, stored: Stored) -> bytes:
        """The stored context with these parts replaced, serialized for the store.

        Raises DATA_LOSS if what is stored is no context.
        """
        context = entries.parse(key, stored)
        apply(self.paths, self.source, context)
        return entries.serialize(context)


def text(path: Path) -> str:
    """A path in the form that `parse` takes."""
    return ".".join(
        segment if _PLAIN.fullmatch(segment) else f"`{segment.replace('`', '``')}`"
        for segment in path
    )


def names(paths: Sequence[Path]) -> tuple[str, ...]:
    """The paths as texts, for the record of a change.

    If they take more than 1,024 bytes, the first ones and `*`.
    """
    found: list[str] = []
    room = _MAX_NAMES
    for path in paths:
        found.append(text(path))
        room -= len(found[-1].encode())
        if room < 0:
            return (*found[:-1], "*")
    return tuple(found)


def parse(paths: Sequence[str]) -> list[Path] | None:
    """The paths of a mask, or None for the whole context.

    Each is there once, and none goes into what another one names. So whatever the paths are, the
    parts of a context that they name are together no larger than the context.

    Raises ValueError, with the reason, for a path that is malformed or names no field, and if
    there are more than `MAX_PATHS`.
    """
    if not paths or list(paths) == ["*"]:
        return None
    texts = dict.fromkeys(paths)
    if len(texts) > MAX_PATHS:
        raise ValueError(f"must have at most {MAX_PATHS} different paths, has {len(texts)}")
    return _outermost([_parse(path) for path in texts])


def too_long(size: int) -> Violation:
    """The broken rule of a mask that has so many bytes."""
    return "update_mask", f"has {size} bytes, at most {MAX_BYTES} are allowed"


def _outermost(paths: Sequence[Path]) -> list[Path]:
    """The paths that go into nothing that another one names, in their order."""
    kept: list[Path] = []
    for path in sorted(set(paths)):  # what goes into a path follows it
        if not (kept and path[: len(kept[-1])] == kept[-1]):
            kept.append(path)
    chosen = set(kept)
    return [path for path in dict.fromkeys(paths) if path in chosen]


def _parse(text: str) -> Path:
    segments: list[str] = []
    position = 0
    while match := _SEGMENT.match(text, position):
        segments.append(match[2] or match[1].replace("``", "`"))
        position = match.end()
        if position == len(text):
            break
        if text[position] != ".":
            raise ValueError(f"{text!r} is not a path: expected '.' at position {position}")
        position += 1
    else:
        raise ValueError(f"{text!r} is not a path: expected a name at position {position}")
    field = _FIELDS.get(segments[0])
    if field is None or field.name == _OUTPUT_ONLY:
        raise ValueError(f"{text!r} does not begin with a field of ExecutionContext to be written")
    if len(segments) > 1 and field.message_type is not Struct.DESCRIPTOR:
        raise ValueError(f"{text!r} goes into {field.name}, which is not a section")
    return tuple(segments)


def apply(paths: Sequence[Path], source: ExecutionContext, target: ExecutionContext) -> None:
    """Copy the parts that the paths name from `source` to `target`; clear those it lacks."""
    for name, *keys in paths:
        if keys:
            _apply_keys(keys, getattr(source, name), getattr(target, name))
        else:
            FieldMask(paths=[name]).MergeMessage(
                source, target, replace_message_field=True, replace_repeated_field=True
            )


def _apply_keys(keys: Sequence[str], source: Struct, target: Struct) -> None:
    *parents, last = keys
    found: Struct | None = source
    for key in parents:
        if found is not None:
            found = found.fields[key].struct_value if _is_struct(found, key) else None
    if found is not None and last in found.fields:
        for key in parents:
            target = target.fields[key].struct_value
        target.fields[last].CopyFrom(found.fields[last])
        return
    for key in parents:
        if not _is_struct(target, key):
            return
        target = target.fields[key].struct_value
    if last in target.fields:
        del target.fields[last]


def _is_struct(struct: Struct, key: str) -> bool:
    return key in struct.fields and struct.fields[key].HasField("struct_value")

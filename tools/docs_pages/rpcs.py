"""The reference of the RPCs, from the comments of the protos."""

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
)

from docs_pages.markdown import paragraphs, table, text

ROOT = Path(__file__).parents[2]
PAGES = {"relevo.v1": "rpcs.md", "relevo.admin.v1": "admin-rpcs.md"}
"""The page of each package."""
TITLES = {"relevo.v1": "RPCs of services", "relevo.admin.v1": "RPCs of operators"}
_GOOGLE = "https://protobuf.dev/reference/protobuf/google.protobuf/"

Place: TypeAlias = tuple[int, ...]
"""The path of an element in a file, as protobuf's SourceCodeInfo has it."""
_MESSAGES, _ENUMS, _SERVICES = 4, 5, 6
_FIELDS, _NESTED, _NESTED_ENUMS, _VALUES, _METHODS = 2, 3, 4, 2, 2
_SCALARS = {
    number: name.removeprefix("TYPE_").lower() for name, number in FieldDescriptorProto.Type.items()
}


def files() -> FileDescriptorSet:
    """The protos with their comments, as `buf` reads them."""
    built = subprocess.run(
        [Path(sys.executable).with_name("buf"), "build", "--as-file-descriptor-set", "-o", "-"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    return FileDescriptorSet.FromString(built.stdout)


def pages(found: FileDescriptorSet) -> Mapping[str, str]:
    """The text of each page by its name."""
    by_package: dict[str, list[FileDescriptorProto]] = {package: [] for package in PAGES}
    for file in found.file:
        if file.package in by_package:
            by_package[file.package].append(file)
    return {PAGES[package]: _page(package, files) for package, files in by_package.items()}


def _page(package: str, files: Sequence[FileDescriptorProto]) -> str:
    parts = [_File(file) for file in files]
    lines = [f"# {TITLES[package]}", ""]
    lines += ["Made of the protos: each text below is a comment of theirs.", ""]
    for heading, elements in (
        ("", [line for part in parts for line in part.services()]),
        ("## Messages", [line for part in parts for line in part.messages()]),
        ("## Enums", [line for part in parts for line in part.enums()]),
    ):
        lines += [*([heading, ""] if heading else []), *elements] if elements else []
    return "\n".join(lines) + "\n"


class _File:
    """One proto with its comments."""

    def __init__(self, file: FileDescriptorProto) -> None:
        self._file = file
        self._comments = {
            tuple(each.path): each.leading_comments for each in file.source_code_info.location
        }

    def services(self) -> Iterator[str]:
        for i, service in enumerate(self._file.service):
            place = (_SERVICES, i)
            yield f"## {service.name}\n\n{self._comment(place)}\n"
            for j, method in enumerate(service.method):
                yield f"### rpc {method.name}\n\n```proto\n{_signature(method)}\n```\n"
                links = f"{self._type(method.input_type)} → {self._type(method.output_type)}"
                yield f"{self._comment((*place, _METHODS, j))}\n\n{links}\n"

    def messages(self) -> Iterator[str]:
        for i, message in enumerate(self._file.message_type):
            yield from self._message(message, (_MESSAGES, i), "")

    def enums(self) -> Iterator[str]:
        for i, enum in enumerate(self._file.enum_type):
            yield from self._enum(enum, (_ENUMS, i), "")
        for i, message in enumerate(self._file.message_type):
            for j, enum in enumerate(message.enum_type):
                yield from self._enum(enum, (_MESSAGES, i, _NESTED_ENUMS, j), message.name)

    def _message(self, message: DescriptorProto, place: Place, outer: str) -> Iterator[str]:
        name = f"{outer}.{message.name}".lstrip(".")
        yield f"### {name}\n\n{self._comment(place)}\n"
        yield table(
            ["field", "type", "meaning"],
            [
                [f"`{field.name}`", self._field_type(message, field), self._short(place, i)]
                for i, field in enumerate(message.field)
            ],
        )
        for i, nested in enumerate(message.nested_type):
            if not nested.options.map_entry:
                yield from self._message(nested, (*place, _NESTED, i), name)

    def _enum(self, enum: EnumDescriptorProto, place: Place, outer: str) -> Iterator[str]:
        yield f"### {f'{outer}.{enum.name}'.lstrip('.')}\n\n{self._comment(place)}\n"
        yield table(
            ["value", "number", "meaning"],
            [
                [f"`{value.name}`", str(value.number), self._short(place, i, _VALUES)]
                for i, value in enumerate(enum.value)
            ],
        )

    def _field_type(self, message: DescriptorProto, field: FieldDescriptorProto) -> str:
        entry = next((each for each in message.nested_type if _is_entry(each, field)), None)
        if entry:
            key, value = (self._one(each) for each in entry.field)
            return f"map of {key} to {value}"
        kind = self._one(field)
        if field.label == FieldDescriptorProto.LABEL_REPEATED:
            kind = f"repeated {kind}"
        if field.proto3_optional:
            return f"optional {kind}"
        if field.HasField("oneof_index"):
            return f"{kind}, one of `{message.oneof_decl[field.oneof_index].name}`"
        return kind

    def _one(self, field: FieldDescriptorProto) -> str:
        return self._type(field.type_name) if field.type_name else _SCALARS[field.type]

    def _type(self, full: str) -> str:
        """The name of a type, with a link to it."""
        name = full.lstrip(".")
        for package, page in PAGES.items():
            short = name.removeprefix(f"{package}.")
            if short != name:
                here = "" if package == self._file.package else page
                return f"[{short}]({here}#{short.lower().replace('.', '')})"
        if name.startswith("google.protobuf."):
            return f"[{name}]({_GOOGLE}#{name.rpartition('.')[2].lower()})"
        return f"`{name}`"

    def _comment(self, place: Place) -> str:
        return paragraphs(self._comments.get(place, ""))

    def _short(self, place: Place, index: int, kind: int = _FIELDS) -> str:
        return text(self._comments.get((*place, kind, index), ""))


def _signature(method: MethodDescriptorProto) -> str:
    given, returned = (
        f"{'stream ' if is_stream else ''}{name.rpartition('.')[2]}"
        for name, is_stream in (
            (method.input_type, method.client_streaming),
            (method.output_type, method.server_streaming),
        )
    )
    return f"rpc {method.name}({given}) returns ({returned});"


def _is_entry(nested: DescriptorProto, field: FieldDescriptorProto) -> bool:
    """Whether a nested message is what protobuf makes of a map field."""
    return nested.options.map_entry and field.type_name.endswith(f".{nested.name}")

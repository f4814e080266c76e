"""Redacts the secrets of a context before it is shown to people."""

import re
from collections.abc import Iterable

from google.protobuf.struct_pb2 import Struct, Value
from relevo.v1.context_pb2 import ExecutionContext

from relevo_server.wire.composition import SECTIONS

REDACTED = "[redacted]"
"""The text in the place of a secret."""
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_OTHER = re.compile(r"[^A-Za-z0-9]+")


class Redaction:
    """Finds secrets by the names of their keys.

    A key is secret if its words are those of a secret name, or end with them: the secret name
    `api_key` also covers `openai_api_key`, `x-api-key` and `apiKey`. Everything under a secret key
    is secret too. The name of a section counts as a key.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._endings = tuple(f"_{_words(name)}" for name in names)

    def is_secret(self, key: str) -> bool:
        """Whether the value of a key is secret."""
        return f"_{_words(key)}".endswith(self._endings)

    def apply(self, context: ExecutionContext) -> None:
        """Replace the secrets of a context."""
        for name in SECTIONS:
            self._apply(getattr(context, name), is_secret=self.is_secret(name))

    def _apply(self, struct: Struct, *, is_secret: bool) -> None:
        for key, value in struct.fields.items():
            if is_secret or self.is_secret(key):
                value.string_value = REDACTED
            else:
                self._apply_within(value)

    def _apply_within(self, value: Value) -> None:
        match value.WhichOneof("kind"):
            case "struct_value":
                self._apply(value.struct_value, is_secret=False)
            case "list_value":
                for item in value.list_value.values:
                    self._apply_within(item)
            case _:
                pass


def _words(name: str) -> str:
    """The words of a name in lower case, joined by `_`."""
    return _OTHER.sub("_", _HUMP.sub("_", name)).strip("_").lower()

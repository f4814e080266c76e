"""Refuses contexts that break the schema of their scope."""

from collections.abc import Iterator, Mapping

from relevo.v1.context_pb2 import ExecutionContext

from relevo_server import errors
from relevo_server.errors import StoreError, Violation
from relevo_server.keys import Key
from relevo_server.schemas import MAX_SEARCHED_BYTES, Schema
from relevo_server.wire.documents import document_of
from relevo_server.wire.sections import path_text


class Schemas:
    """The schemas of scopes, which a reload replaces."""

    def __init__(self, by_scope: Mapping[str, Schema]) -> None:
        self._by_scope = by_scope

    def replace(self, by_scope: Mapping[str, Schema]) -> None:
        """Apply these schemas from now on."""
        self._by_scope = by_scope

    def refusal(self, key: Key, context: bytes) -> StoreError | None:
        """The error of a Put whose context breaks its scope's schema; None if it does not.

        `context` is as it is to be stored.
        """
        schema = self._by_scope.get(key.scope)
        if schema is None:
            return None
        found = _violations(schema, context)
        first = next(found, None)
        return errors.schema_broken(key.scope, first, found) if first else None


def _violations(schema: Schema, context: bytes) -> Iterator[Violation]:
    document = document_of(ExecutionContext.FromString(context))
    only_first = len(context) > MAX_SEARCHED_BYTES
    for path, description in schema.problems(document, only_first=only_first):
        yield path_text("context", path), description

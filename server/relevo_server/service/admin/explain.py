"""Explain: where each value of a context came from."""

from relevo.admin.v1.admin_pb2 import ExplainResponse
from relevo.v1.context_pb2 import ContextEntry

from relevo_server import errors
from relevo_server.keys import Key
from relevo_server.service.parts import Parts
from relevo_server.storage.interface import Stored
from relevo_server.wire.composition import compose, origins
from relevo_server.wire.contexts import message_of
from relevo_server.wire.redaction import Redaction
from relevo_server.wire.requests import Get


class Explainer:
    """Explains contexts, with what is secret redacted."""

    def __init__(self, parts: Parts) -> None:
        self._storage = parts.storage
        self._reader = parts.reader
        self._entries = parts.entries
        self._redaction = Redaction(parts.settings.redacted)

    async def explain(self, get: Get) -> ExplainResponse:
        """The composed context as of one revision, and the origin of each value.

        Raises NOT_FOUND without a live entry, FAILED_PRECONDITION if the store is behind, and
        DATA_LOSS if what is stored is no context, and PERMISSION_DENIED for its layers. A layer
        that does not exist is no error.
        """
        read, layers = await self._reader.from_store(get)
        get.require_layers(layers)
        if read.revision < get.min_revision:
            raise errors.store_behind(get.key, read.revision)
        head, *below = read.entries
        if head is None:
            raise errors.no_entry(get.key)
        found = [(key, stored) for key, stored in zip(layers, below, strict=True) if stored]
        entries = [self._message(*each) for each in (*found, (get.key, head))]
        contexts = [entry.context for entry in entries]
        for context in contexts:
            self._redaction.apply(context)
        composed = compose(contexts)
        response = ExplainResponse(context=composed, revision=read.revision)
        for path, part in origins(composed, contexts):
            response.origins.add(path=path, entry=part)
        for entry in entries:
            entry.ClearField("context")
        response.entries.extend(entries)
        response.missing.extend(
            message_of(key) for key, stored in zip(layers, below, strict=True) if stored is None
        )
        return response

    def _message(self, key: Key, stored: Stored) -> ContextEntry:
        """An entry with its context and the times that the store knows."""
        partition = self._storage.partition_of(key.tenant_id)
        serialized = self._entries.serialized(key, partition, stored, body=True)
        return ContextEntry.FromString(serialized)

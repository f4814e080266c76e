"""Cuts the passages of a tenant's collections into chunks for the search."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from relevo_demo import files

_SENTENCE = re.compile(r"(?<=[.!?])\s+")


def chunks_of(tenant_id: str, rag_config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each chunk with its collection's name, cut by the collection's configuration."""
    for collection in rag_config["collections"]:
        for passage in files.passages(tenant_id, collection):
            for chunk in _cut(passage, rag_config[collection]):
                yield collection, chunk


def _cut(passage: str, config: Mapping[str, Any]) -> Iterator[str]:
    """Chunks of whole sentences, of up to `chunk_size` words if the sentences allow it.

    Each chunk begins with the end of the one before, of up to `overlap` words.
    """
    chunk: list[str] = []
    for sentence in _SENTENCE.split(passage):
        if chunk and _size([*chunk, sentence]) > config["chunk_size"]:
            yield " ".join(chunk)
            while chunk and _size(chunk) > config["overlap"]:
                del chunk[0]
        chunk.append(sentence)
    yield " ".join(chunk)


def _size(sentences: list[str]) -> int:
    return sum(len(sentence.split()) for sentence in sentences)

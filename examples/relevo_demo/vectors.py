"""A small working embedding: words and their n-grams, hashed into a vector.

Texts that share words, or parts of words, have similar vectors. It needs no training
and no download, and is deterministic.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from zlib import crc32

Vector = Sequence[float]

_WORD = re.compile(r"\w{4,}")  # shorter words are mostly "the", "and", "you"


def embed(text: str, config: Mapping[str, Any]) -> Vector:
    """The vector of length one of a text, with the settings of an `embedding_config`.

    Raises KeyError for an unknown model.
    """
    features = MODELS[config["model"]]
    dimensions: int = config["dimensions"]
    vector = [0.0] * dimensions
    for feature in features(text.lower(), config):
        # One bit of the hash is the sign, so that collisions cancel out on average.
        place, negative = divmod(crc32(feature.encode()), 2)
        vector[place % dimensions] += -1 if negative else 1
    length = math.hypot(*vector) or 1.0
    return [value / length for value in vector]


def similarity(one: Vector, other: Vector) -> float:
    """The cosine of the angle between two vectors of length one."""
    return math.fsum(a * b for a, b in zip(one, other, strict=True))


def _words(text: str, _: Mapping[str, Any]) -> Iterator[str]:
    yield from _WORD.findall(text)


def _ngrams(text: str, config: Mapping[str, Any]) -> Iterator[str]:
    """Every word and its n-grams: "shipping" is near to "shipped"."""
    shortest, longest = config["ngram_range"]
    for word in _WORD.findall(text):
        yield word
        marked = f"<{word}>"
        for size in range(shortest, longest + 1):
            for start in range(len(marked) - size + 1):
                yield marked[start : start + size]


MODELS: Mapping[str, Callable[[str, Mapping[str, Any]], Iterator[str]]] = {
    "hashed-words": _words,
    "hashed-ngrams": _ngrams,
}
"""The features of a text by `embedding_config.model`."""

"""A stand-in for a language model that answers with sentences of the given passages.

It needs no network and is deterministic, yet every setting has an effect, as with a
real model.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any, Protocol

_SENTENCE = re.compile(r"(?<=[.!?])\s+")
_WORD = re.compile(r"\w+")
_STEM = 4  # words with the same first letters are the same word: "returned", "returns"
_OPENINGS = ("", "Good question: ", "Here is what I know: ", "Gladly: ")


class Configured(Protocol):
    """An object with the sections that an answer depends on."""

    @property
    def llm_config(self) -> Mapping[str, Any]:
        """The model's settings."""
        ...

    @property
    def agent_config(self) -> Mapping[str, Any]:
        """The agent's behavior."""
        ...


def answer_as(settings: Configured, question: str, passages: Sequence[tuple[str, str]]) -> str:
    """The agent's answer to a question from passages, given as (collection, text) pairs."""
    agent = settings.agent_config
    answer = complete(
        settings.llm_config,
        system_prompt=agent["system_prompt"],
        question=question,
        passages=[text for _, text in passages],
    )
    if not answer:
        return str(agent["no_answer"])
    if agent["cite_sources"]:
        answer += f" ({', '.join(dict.fromkeys(collection for collection, _ in passages))})"
    return str(agent["answer_template"]).replace("{answer}", answer)


def complete(
    config: Mapping[str, Any], *, system_prompt: str, question: str, passages: Sequence[str]
) -> str:
    """Answer the question from the passages, with the settings of an `llm_config`.

    The prompt includes as many passages as fit in `context_tokens`. The answer has the
    two sentences that share most words with the question, as far as they fit in
    `max_tokens`; a word counts as a token. A higher `temperature` allows more openings;
    a hash of the `model` and the question chooses one. The answer is empty if no
    sentence fits.
    """
    room: int = config["context_tokens"] - _size(system_prompt) - _size(question)
    sentences = [
        sentence for passage in _fitting(passages, room) for sentence in _SENTENCE.split(passage)
    ]
    stems = _stems(question)
    shared = {sentence: len(stems & _stems(sentence)) for sentence in sentences}
    most = max(shared.values(), default=0)
    near = [sentence for sentence, count in shared.items() if 0 < most < 2 * count]
    near.sort(key=lambda sentence: -shared[sentence])
    chosen = list(_fitting(near[:2], config["max_tokens"]))
    if not chosen:
        return ""
    return _opening(config["model"], config["temperature"], question) + " ".join(chosen)


def _opening(model: str, temperature: float, question: str) -> str:
    choices = 1 + round(temperature * (len(_OPENINGS) - 1))
    return _OPENINGS[sha256(f"{model} {question}".encode()).digest()[0] % choices]


def _fitting(texts: Iterable[str], room: int) -> Iterable[str]:
    for text in texts:
        room -= _size(text)
        if room < 0:
            return
        yield text


def _stems(text: str) -> set[str]:
    return {word[:_STEM] for word in _WORD.findall(text.lower()) if len(word) > 3}


def _size(text: str) -> int:
    return len(_WORD.findall(text))

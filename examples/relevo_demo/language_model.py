"""The stand-in for a language model: it answers with sentences of the passages it is given.

It needs no network and always answers the same, yet every setting counts, as it
would for a real one.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any, Protocol

_SENTENCE = re.compile(r"(?<=[.!?])\s+")
_WORD = re.compile(r"\w+")
_STEM = 4  # letters that make two words the same one: "returned", "returns"
_OPENINGS = ("", "Good question: ", "Here is what I know: ", "Gladly: ")


class Configured(Protocol):
    """Whatever has the sections that an answer depends on."""

    @property
    def llm_config(self) -> Mapping[str, Any]:
        """How to ask the model."""
        ...

    @property
    def agent_config(self) -> Mapping[str, Any]:
        """How the agent behaves."""
        ...


def answer_as(settings: Configured, question: str, passages: Sequence[tuple[str, str]]) -> str:
    """What the agent says to a question, out of passages with their collections' names."""
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
    """An answer to the question out of the passages, as an `llm_config` asks for.

    The prompt takes in as many passages as `context_tokens` has room for. The
    answer has the two sentences that share most words with the question, as far
    as `max_tokens` has room for them; a word counts as a token. The higher the
    `temperature`, the more openings there are, of which the `model` and the
    question decide one. Where no sentence fits, the answer is empty.
    """
    room: int = config["context_tokens"] - _size(system_prompt) - _size(question)
    sentences = [
        sentence for passage in _fitting(passages, room) for sentence in _SENTENCE.split(passage)
    ]
    asked = _stems(question)
    shared = {sentence: len(asked & _stems(sentence)) for sentence in sentences}
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

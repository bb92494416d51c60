"""Answers to questions that mean the same, for routes that opt in. The gateway asks after an exact miss.

Only the words of the last message may differ: everything else of the request (system prompt, the conversation before,
parameters, the shape asked for) names the space that is searched. Never for requests with tools, nor with anything but text,
nor for questions so long that an embedder reads only their beginning, nor across questions that name different numbers.

`find` calls the embedder, which may be a model behind a network: run it in a thread unless it is not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from perdure.core.errors import UpstreamError
from perdure.core.ports import Embed
from perdure.core.usage import Usage
from perdure.engines.dialects.estimate import tokens_of_bytes, tokens_of_text
from perdure.engines.prices import UnitPrice, largest_cost
from perdure.engines.semantics import same_numbers
from perdure.serve.gateway.caching import SILENT, Asked, CacheRules, Forgiving, Hit, is_older

Json = dict[str, Any]

_MAX_CHARS = 1_000
"""Of a question: small embedders read 256 tokens, and what they do not read must not be taken for the same."""
_TOOLS = ("tools", "functions")
_SAMPLES = float(2**64)
_encode = msgspec.json.Encoder(order="sorted").encode


@dataclass(frozen=True, slots=True)
class Question:
    """The last message of a request, and the space of those that it may be compared with."""

    text: str
    space: str


@dataclass(frozen=True, slots=True)
class Embedder:
    """Who makes vectors of questions, and for how much."""

    target: str
    """`upstream/model`."""
    price: UnitPrice | None
    """None: not known."""

    def most_pusd(self) -> int:
        """The most that one question can cost, as far as its price is known."""
        return largest_cost(tokens_of_bytes(4 * _MAX_CHARS), 0, self.price) or 0

    def usage(self, text: str, n_tokens: int | None) -> Usage:
        """What one question took: as its upstream counted, else an estimate."""
        n_input = tokens_of_text(text) if n_tokens is None else n_tokens
        return Usage(n_input=n_input, estimated=n_tokens is None)


@dataclass(frozen=True, slots=True)
class Looked:
    """What became of looking: an answer, or the question's vector to keep with a fresh one (None: it has none)."""

    hit: Hit | None
    vector: NDArray[np.float32] | None
    n_tokens: int | None = None
    """Of the question, as the embedder's upstream counted; None: it did not tell."""


class SemanticCache:
    """Finds answers by meaning in the store of a `RouteCache`, whose keys it shares.

    Args:
        store: where answers lie.
        embed: makes vectors of questions.
        rules: of a route that declares `semantic`.
        embedder: who is billed for vectors.
    """

    def __init__(self, store: Forgiving, embed: Embed, rules: CacheRules, embedder: Embedder) -> None:
        self.embedder = embedder
        self.most_pusd = embedder.most_pusd()
        """The most that one question can cost."""
        self.n_failed = 0
        """Questions that the embedder failed on: they are misses."""
        self._store = store
        self._embed = embed
        self._rules = rules
        self._threshold = 2.0 if rules.semantic is None else rules.semantic

    def question(self, request: Json, asked: Asked) -> Question | None:
        """The question of a neutral request; None where nothing but the same words will do."""
        return question_of(request, asked.space, self._rules.embedder)

    def find(self, question: Question, asked: Asked, *, call_id: str, now_us: int) -> Looked:
        """The answer to the nearest question, where it is near enough. `call_id` says whether the hit is sampled."""
        vector, n_tokens = self._vector(question.text)
        if vector is None or not asked.read:
            return Looked(None, vector, n_tokens)
        near = self._store.nearest(question.space, vector, now_us)
        if (
            near is None
            or near.similarity < self._threshold
            or not same_numbers(near.entry.question, question.text)
            or is_older(near.entry, asked, now_us)
        ):
            return Looked(None, vector, n_tokens)
        hit = Hit(near.entry, "semantic", near.similarity, is_sampled(call_id, self._rules.sample))
        return Looked(hit, vector, n_tokens)

    def keep(self, question: Question, asked: Asked, vector: NDArray[np.float32]) -> None:
        """Let an answer that `RouteCache.keep` kept, with the question's text, be found by its meaning.

        Not for an answer in which a guard restored what it had masked: that is its asker's own.
        """
        self._store.put_vector(question.space, asked.key, vector)

    def _vector(self, text: str) -> tuple[NDArray[np.float32] | None, int | None]:
        try:
            found = self._embed.embed(self._rules.embedder, [text])
        except UpstreamError:
            self.n_failed += 1
            return None, None
        return found.vectors[0], found.n_tokens


def question_of(request: Mapping[str, Any], space: bytes, embedder: str) -> Question | None:
    """The question of a neutral request within a space, or None; see the module.

    >>> one = {"messages": [{"role": "user", "content": "Hello?"}], "temperature": 0}
    >>> question_of(one, b"", "e").text
    'Hello?'
    >>> question_of(one | {"tools": [{}]}, b"", "e") is None
    True
    """
    messages = request.get("messages")
    if not isinstance(messages, list) or not messages or any(request.get(name) for name in _TOOLS):
        return None
    *before, last = messages
    if not isinstance(last, dict) or last.get("role") != "user" or not all(_is_text(each) for each in messages):
        return None
    text = _text(last["content"])
    if not text.strip() or len(text) > _MAX_CHARS:
        return None
    rest = {name: value for name, value in request.items() if name not in SILENT and name != "messages"}
    about = {name: value for name, value in last.items() if name != "content"}
    digest = hashlib.blake2b(space, digest_size=20)
    digest.update(_encode([embedder, before, about, rest]))
    return Question(text, digest.hexdigest())


def is_sampled(call_id: str, share: float) -> bool:
    """Whether a call is in a share of all calls: always the same for the same id.

    >>> is_sampled("c_1", 1.0), is_sampled("c_1", 0.0)
    (True, False)
    """
    drawn = hashlib.blake2b(call_id.encode(), digest_size=8, person=b"cache sample").digest()
    return int.from_bytes(drawn) / _SAMPLES < share


def _is_text(message: Any) -> bool:
    """Whether a message is nothing but text: no image, sound or file, no tool that was called."""
    if not isinstance(message, dict) or message.get("tool_calls") or message.get("role") in ("tool", "function"):
        return False
    content = message.get("content")
    return isinstance(content, str) or (
        isinstance(content, list) and bool(content) and all(map(_is_text_part, content))
    )


def _is_text_part(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str)


def _text(content: str | Sequence[Json]) -> str:
    return content if isinstance(content, str) else "\n".join(part["text"] for part in content)

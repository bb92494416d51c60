"""Scorers by vectors: how near an answer is to the expected text, and to the question. Asks an embedder, in batches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from perdure.assets.scorers import AnswerRelevance, Similar
from perdure.assets.suite import Case
from perdure.core.errors import BadSuite
from perdure.core.ports import Answered, Embed
from perdure.core.texts.refusals import refuses
from perdure.engines.evals.evidence import sentences_of
from perdure.engines.evals.parts import Tools, not_applicable
from perdure.engines.evals.protocols import Score
from perdure.engines.evals.reading import BAD, expected_of, lacks_text, question_of, texts_of

_MOST_SENTENCES = 100
_MOST_CHARACTERS = 8_000
"""Of a text that is embedded: models cut what is longer."""


def cosine(one: np.ndarray, other: np.ndarray) -> float | None:
    """Cosine of two vectors; None where one is all zeros or not finite.

    >>> cosine(np.array([3.0, 4.0]), np.array([6.0, 8.0])), cosine(np.zeros(2), np.ones(2))
    (1.0, None)
    """
    left, right = one.astype(np.float64), other.astype(np.float64)
    length = float(np.sqrt((left * left).sum()) * np.sqrt((right * right).sum()))
    if not np.isfinite(length) or length == 0.0:
        return None
    return max(-1.0, min(1.0, float((left * right).sum()) / length))


class SimilarPart:
    """Cosine of the answer's and the nearest expected text's vectors, from `floor` (0) to 1."""

    needs = "`expected`: a text, or a list of texts of which any is right"
    code = 1

    def __init__(self, declared: Similar, tools: Tools) -> None:
        self._embedder, self._floor, self._embed = declared.embedder, declared.floor, embed_of("Similar", tools)

    def lacks(self, case: Case) -> str:
        """No text is expected."""
        return lacks_text(case)

    def score(self, case: Case, answer: Answered) -> Score:
        """Of one answer; `score_all` asks once for many.

        Raises:
            UpstreamError: the embedder did not answer.
        """
        return self.score_all([(case, answer)])[0]

    def score_all(self, pairs: Sequence[tuple[Case, Answered]]) -> list[Score]:
        """A score a pair, of one call."""
        wanted = [texts_of(expected_of(case, "text")) for case, _ in pairs]
        vectors = _Vectors(
            self._embed,
            self._embedder,
            [answer.text for _, answer in pairs] + [text for each in wanted for text in each],
        )
        return [self._one(vectors, answer.text, texts) for (_, answer), texts in zip(pairs, wanted, strict=True)]

    def _one(self, vectors: _Vectors, said: str, wanted: Sequence[str]) -> Score:
        if not said.strip():
            return Score(0.0, why="an empty answer")
        found = [near for near in (vectors.cosine(said, text) for text in wanted) if near is not None]
        if not found:
            return not_applicable("the embedder knows no word of it")
        return Score(max(0.0, (max(found) - self._floor) / (1.0 - self._floor)), facts={"cosine": max(found)})


class AnswerRelevancePart:
    """Cosine of the question and the sentence of the answer that is nearest to it; a refusal is 0."""

    needs = "a question among the inputs"
    code = 1

    def __init__(self, declared: AnswerRelevance, tools: Tools) -> None:
        self._embedder, self._embed = declared.embedder, embed_of("AnswerRelevance", tools)

    def lacks(self, case: Case) -> str:
        """Nothing was asked."""
        return "" if question_of(case).strip() else "the case asks no question"

    def score(self, case: Case, answer: Answered) -> Score:
        """Of one answer; `score_all` asks once for many.

        Raises:
            UpstreamError: the embedder did not answer.
        """
        return self.score_all([(case, answer)])[0]

    def score_all(self, pairs: Sequence[tuple[Case, Answered]]) -> list[Score]:
        """A score a pair, of one call."""
        asked = [question_of(case) for case, _ in pairs]
        said = [[each.text for each in sentences_of(answer.text)[:_MOST_SENTENCES]] for _, answer in pairs]
        vectors = _Vectors(self._embed, self._embedder, asked + [text for each in said for text in each])
        return [
            self._one(vectors, question, sentences, answer)
            for question, sentences, (_, answer) in zip(asked, said, pairs, strict=True)
        ]

    @staticmethod
    def _one(vectors: _Vectors, question: str, sentences: Sequence[str], answer: Answered) -> Score:
        if refuses(answer.message, answer.finish):
            return Score(0.0, why="it refuses", facts={"refused": True})
        if not sentences:
            return Score(0.0, why="an empty answer")
        found = [(near, text) for text in sentences if (near := vectors.cosine(question, text)) is not None]
        if not found:
            return not_applicable("the embedder knows no word of it")
        near, text = max(found)
        return BAD if near <= 0.0 else Score(near, facts={"sentence": text[:300]})


class _Vectors:
    """Vectors of texts, each asked for once."""

    def __init__(self, embed: Embed, embedder: str, texts: Sequence[str]) -> None:
        known = list(dict.fromkeys(_sent(text) for text in texts if text.strip()))
        self._rows = {text: row for row, text in enumerate(known)}
        self._vectors = embed.embed(embedder, known).vectors if known else np.zeros((0, 1), np.float32)

    def cosine(self, one: str, other: str) -> float | None:
        left, right = self._rows.get(_sent(one)), self._rows.get(_sent(other))
        return None if left is None or right is None else cosine(self._vectors[left], self._vectors[right])


def _sent(text: str) -> str:
    cut = text[:_MOST_CHARACTERS]
    return cut if cut.isascii() else cut.encode("utf-8", "replace").decode()


def embed_of(name: str, tools: Tools) -> Embed:
    """The embedder that a scorer asks.

    Raises:
        BadSuite: there is none.
    """
    if tools.embed is None:
        raise BadSuite(f"{name} needs an embedder, and none is there.", hint="Name one: embedder='upstream/model'.")
    return tools.embed

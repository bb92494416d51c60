from __future__ import annotations

import numpy as np
import pytest

from perdure.assets.project import Project
from perdure.assets.scorers import AnswerRelevance, Similar
from perdure.assets.suite import Case
from perdure.core.errors import BadSuite, NotReady
from perdure.core.ports import Answered, Embedded
from perdure.engines.evals.unnamed import UnnamedEmbed
from perdure.surface.eval_asking import tools_of


class Letters:
    """Vectors of how often each Latin letter stands in a text."""

    def __init__(self):
        self.asked = []

    def embed(self, route, texts):
        self.asked.append((route, list(texts)))
        rows = [[text.lower().count(chr(97 + at)) for at in range(26)] for text in texts]
        return Embedded(np.array(rows, dtype=np.float32))


def similar(scored, expected, said, **settings):
    return scored(Similar(**settings), expected, said, tools={"embed": Letters()})


def test_similar_is_the_cosine_from_its_floor(scored) -> None:
    assert similar(scored, "abc", "cab").value == pytest.approx(1.0)
    assert similar(scored, "ab", "a").value == pytest.approx(np.sqrt(0.5))
    assert similar(scored, "ab", "a", floor=0.5).value == pytest.approx((np.sqrt(0.5) - 0.5) / 0.5)
    assert similar(scored, "b", "a", floor=0.5).value == 0.0
    assert similar(scored, ["b", "a"], "a").value == pytest.approx(1.0)


def test_a_text_that_the_embedder_knows_nothing_of_does_not_apply_and_an_empty_answer_is_wrong(scored) -> None:
    assert similar(scored, "abc", "123").outcome == "not_applicable"
    assert similar(scored, "abc", " ").value == 0.0


def test_many_answers_are_embedded_by_one_call_and_each_text_once(compiled) -> None:
    embed = Letters()
    scorer = compiled(Similar(embedder="up/small"), embed=embed)
    case = Case("a", {"question": "?"}, "ab")
    answers = [Answered({"content": text}) for text in ("ab", "a", "ab")] + [Answered({}, error="upstream.cut")]

    scores = scorer.score_all([(case, each) for each in answers])

    assert [round(each.value, 3) for each in scores] == [1.0, 0.707, 1.0, 0.0]
    assert scores[3].outcome == "failed"
    assert embed.asked == [("up/small", ["ab", "a"])]
    assert not scorer.quick


def test_relevance_is_that_of_the_sentence_that_is_nearest_to_the_question(scored) -> None:
    found = scored(AnswerRelevance(), None, "Zzz zzz. Cab.", inputs={"question": "abc"}, tools={"embed": Letters()})

    assert found.value == pytest.approx(1.0)
    assert found.facts == {"sentence": "Cab."}


def test_a_refusal_is_not_relevant(scored) -> None:
    said = "I'm sorry, but I can't help with that."
    found = scored(AnswerRelevance(), None, said, inputs={"question": "help"}, tools={"embed": Letters()})

    assert (found.value, found.facts) == (0.0, {"refused": True})


@pytest.mark.parametrize("declared", [Similar(), AnswerRelevance()])
def test_scorers_by_vectors_need_an_embedder(compiled, declared) -> None:
    with pytest.raises(BadSuite, match="embedder"):
        compiled(declared)


class Own:
    """An embedder of this process, by the number of letters."""

    def embed(self, contents):
        return np.array([[float(len(each))] for each in contents], dtype=np.float32)


def test_a_named_embedder_goes_to_whoever_is_behind() -> None:
    behind = Letters()

    assert UnnamedEmbed(Own, behind).embed("up/small", ["a"]).vectors.shape == (1, 26)
    with pytest.raises(NotReady, match="No embedder answers"):
        UnnamedEmbed(Own).embed("up/small", ["a"])


def test_an_unnamed_embedder_is_opened_once_and_at_the_first_text() -> None:
    opened = []
    embed = UnnamedEmbed(lambda: opened.append(1) or Own(), Letters())

    embed.embed("up/small", ["a"])
    assert not opened
    assert embed.embed("", ["ab", ""]).vectors.tolist() == [[2.0], [0.0]]
    embed.embed("", ["a"])
    assert opened == [1]


def test_wordllama_knows_what_is_alike_without_a_network() -> None:
    pytest.importorskip("wordllama", reason="the extra `similarity` is not installed")
    embed = tools_of(Project("shop")).embed
    rows = embed.embed("", ["the train is late", "the train is delayed", "a recipe for apple cake", ""]).vectors
    near, far = rows[0] @ rows[1], rows[0] @ rows[2]

    assert rows.shape == (4, 256)
    assert near > 0.6
    assert far < 0.3
    assert not rows[3].any()

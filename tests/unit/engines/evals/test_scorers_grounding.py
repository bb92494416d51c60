from __future__ import annotations

import numpy as np
import pytest

from perdure.assets.scorer_specs import check_scorers, scorer_definition, scorer_of
from perdure.assets.scorers import ContextPrecision, ContextRecall, Grounded
from perdure.assets.suite import Case
from perdure.core.errors import BadSuite
from perdure.core.ports import Answered
from perdure.engines.evals.evidence import look_up, stands_in

BRIDGE = (
    "The Rhine bridge was opened in 1949. It has 12 lanes of traffic. It was designed by Anna Berg. "
    "The bridge stays open at night."
)
TOWER = "The tower of Speyer was built in 1280. It is 71 metres tall."


def test_an_answer_that_the_contexts_say_is_grounded(scored) -> None:
    found = scored(Grounded(), None, "It was designed by Anna Berg. It has 12 lanes.", contexts=[BRIDGE])

    assert found.value == 1.0
    assert found.facts == {"claims": 2, "supported": 2}


def test_an_unsupported_claim_is_located_with_what_is_missing_and_the_nearest_evidence(scored) -> None:
    said = "It was designed by Anna Berg.\n  It has 13 lanes of traffic."
    found = scored(Grounded(), None, said, contexts=[TOWER, BRIDGE])

    assert found.value == 0.5
    [(start, end, text)] = found.facts["spans"]
    assert said[start:end] == text == "It has 13 lanes of traffic."
    assert found.facts["lacking"] == [["numbers", ["13"]]]
    [(source, begins, ends, evidence)] = found.facts["evidence"]
    assert (source, BRIDGE[begins:ends]) == (1, evidence)
    assert evidence == "It has 12 lanes of traffic."
    assert "13 is not in the contexts" in found.why


@pytest.mark.parametrize(
    ("said", "lacks"),
    [
        ("It was designed by Otto Wagner.", "names"),
        ("Cyclists enjoy wonderful panoramic coastal views there.", "words"),
        ("The bridge was not opened in 1949.", "negation"),
        ("The Rhine bridge was opened in 1280.", "numbers"),
    ],
)
def test_why_a_claim_is_not_supported_is_told_apart(said, lacks) -> None:
    assert [each.lacks for each in look_up(said, [BRIDGE, TOWER])] == [lacks]


def test_a_number_of_one_context_and_words_of_another_support_nothing() -> None:
    """Against all contexts as one text the sieve of the guard lets it pass."""
    assert look_up("The Rhine bridge has a height of 71 metres.", [BRIDGE, TOWER])[0].lacks == "numbers"


def test_a_denial_is_seen_though_another_sentence_has_the_words_too() -> None:
    ferry = "The ferry sails from Ansel every day. It was built in 1987. It has a bar. It does not sail in storms."

    assert [
        each.lacks for each in look_up("The ferry sails in storms. The ferry does not sail in storms.", [ferry])
    ] == [
        "negation",
        "",
    ]
    assert look_up("The ferry sails in storms.", [ferry, "The ferry sails in storms."])[0].supported


def test_two_sentences_that_follow_each_other_may_support_one_claim() -> None:
    assert look_up("The Rhine bridge of 1949 has 12 lanes.", [BRIDGE])[0].supported


@pytest.mark.parametrize(
    "said",
    ["I don't know when the Rhine bridge was built.", "The context does not mention any price.", "Sure!", "", "…"],
)
def test_who_says_that_nothing_is_known_claims_nothing(scored, said) -> None:
    assert scored(Grounded(), None, said, contexts=[BRIDGE]).outcome == "not_applicable"


@pytest.mark.parametrize(
    ("context", "said", "value"),
    [
        ("東京は日本の首都です。人口は約1400万人です。", "日本の首都は東京です。", 1.0),
        ("東京は日本の首都です。人口は約1400万人です。", "日本の首都は大阪府です。", 0.0),
        ("東京は日本の首都です。人口は約1400万人です。", "東京の人口は1500万人です。", 0.0),
        ("東京は日本の首都です。", "東京は日本の首都ではない。", 0.0),
        ("人口は１４００万人です。", "人口は1400万人です。", 1.0),
        ("المدينة المنورة تقع في غرب السعودية.", "تقع مدينة المنورة غرب السعودية.", 1.0),
        ("المدينة المنورة تقع في غرب السعودية.", "لا تقع المدينة المنورة في غرب السعودية.", 0.0),
        ("Die Brücke wurde 1937 eröffnet. Sie gehört der Stadt Köln.", "Die Brücke gehört der Stadt Köln.", 1.0),
        ("Die Brücke wurde 1937 eröffnet. Sie gehört der Stadt Köln.", "Die Brücke gehört der Stadt Köln nicht.", 0.0),
        ("Die Brücke wurde 1937 eröffnet. Sie gehört der Stadt Köln.", "Die Brücke gehört Herrn Mainzer.", 0.0),
    ],
)
def test_grounding_reads_japanese_arabic_and_german(scored, context, said, value) -> None:
    assert scored(Grounded(), None, said, contexts=[{"id": "a", "text": context}]).value == value


class Entailing:
    """Says that everything follows from texts that hold a word."""

    def __init__(self, word):
        self.word, self.asked = word, []

    def entails(self, pairs):
        self.asked += pairs
        return [0.9 if self.word in premise else 0.1 for premise, _ in pairs]


def test_a_model_of_entailment_decides_over_words_but_never_over_numbers(scored) -> None:
    tools = {"entails": Entailing("lanes")}
    declared = Grounded(entails=True)

    assert (
        scored(declared, None, "Cyclists enjoy wonderful panoramic views.", contexts=[BRIDGE], tools=tools).value == 1.0
    )
    assert scored(declared, None, "It has 13 lanes.", contexts=[BRIDGE], tools=tools).value == 0.0
    assert scored(declared, None, "It is 71 metres tall.", contexts=[TOWER], tools=tools).facts["lacking"] == [
        ["entailment", []]
    ]
    assert scored(Grounded(), None, "It is 71 metres tall.", contexts=[TOWER], tools=tools).value == 1.0


def test_without_contexts_it_is_the_share_of_other_samples_that_say_it_too(compiled) -> None:
    grounded = compiled(Grounded())
    texts = [
        "The Rhine bridge was opened in 1949.",
        "The Rhine bridge was opened in 1949.",
        "It was opened in 1950 by the Rhine.",
    ]
    answers = [*(Answered({"content": text}) for text in texts), Answered({}, error="upstream.timed_out")]

    scores = grounded.score_samples(Case("a", {"question": "?"}), answers)

    assert grounded.of_samples
    assert [each.value for each in scores] == [0.5, 0.5, 0.0, 0.0]
    assert scores[2].facts["spans"] == [[0, len(texts[2]), texts[2]]]
    assert scores[3].outcome == "failed"


def test_one_sample_without_contexts_says_nothing(compiled) -> None:
    [found] = compiled(Grounded()).score_samples(
        Case("a", {"question": "?"}), [Answered({"content": "It has 12 lanes."})]
    )

    assert (found.value, found.outcome) == (None, "not_applicable")


def test_with_contexts_samples_are_scored_each_by_itself(compiled) -> None:
    answers = [Answered({"content": text}) for text in ("It has 12 lanes.", "It has 13 lanes.")]

    assert [each.value for each in compiled(Grounded()).score_samples(Case("a", {}, contexts=(BRIDGE,)), answers)] == [
        1,
        0,
    ]


def test_a_short_text_stands_in_a_source_or_not() -> None:
    assert stands_in("Anna Berg", [TOWER, BRIDGE])
    assert stands_in("1949", [BRIDGE])
    assert stands_in("猫", ["猫がいる。"])
    assert not stands_in("Otto", [BRIDGE])
    assert not stands_in("", [BRIDGE])


def by_id(*relevant):
    return [{"id": f"doc-{at}", "text": "…", "relevant": each} for at, each in enumerate(relevant)]


@pytest.mark.parametrize(
    ("relevant", "value"), [([1, 1], 1.0), ([0, 1], 0.5), ([1, 0, 1], (1 + 2 / 3) / 2), ([0, 0], 0.0)]
)
def test_context_precision_is_average_precision(scored, relevant, value) -> None:
    assert scored(ContextPrecision(), None, "", contexts=by_id(*relevant)).value == pytest.approx(value)


def test_relevance_comes_from_expected_ids_or_from_the_claims_of_the_expected_text(scored) -> None:
    ids = {"relevant": ["doc-1"]}

    assert scored(ContextPrecision(), ids, "", contexts=by_id(1, 0)).value == 0.5
    assert scored(ContextPrecision(), "The bridge has 12 lanes.", "", contexts=[TOWER, BRIDGE]).value == 0.5
    assert scored(ContextPrecision(), "1949", "", contexts=[BRIDGE, TOWER]).value == 1.0


def test_context_recall_is_the_share_of_ids_or_of_claims_that_were_retrieved(scored) -> None:
    text = "The Rhine bridge has 12 lanes. It was designed by Otto Wagner."

    assert scored(ContextRecall(), {"relevant": ["doc-0", "doc-7"]}, "", contexts=by_id(1)).value == 0.5
    found = scored(ContextRecall(), text, "", contexts=[TOWER, BRIDGE])
    assert found.value == 0.5
    assert "Otto Wagner" in found.why
    assert scored(ContextRecall(), "Anna", "", contexts=[BRIDGE]).value == 1.0


@pytest.mark.parametrize("declared", [ContextPrecision(), ContextRecall()])
@pytest.mark.parametrize("case", [("Anna", []), (None, ["text"])])
def test_scorers_of_retrieval_need_contexts_and_something_to_find(scored, declared, case) -> None:
    expected, contexts = case

    assert scored(declared, expected, "", contexts=contexts).outcome == "not_applicable"


def test_grounded_counts_feed_a_ratio_of_claims() -> None:
    found = look_up("It has 12 lanes. It has 13 lanes.", [BRIDGE])

    assert np.mean([each.supported for each in found]) == 0.5


def test_a_project_gives_its_own_model_of_entailment_to_the_scorer(scored) -> None:
    declared = Grounded(entails=Entailing("lanes"))
    words = "Cyclists enjoy wonderful panoramic views."
    assert scored(declared, None, words, contexts=[BRIDGE]).value == 1.0
    assert scored(Grounded(), None, words, contexts=[BRIDGE]).value < 1.0
    assert scorer_definition(declared)["entails"]["model"] == "Entailing"
    with pytest.raises(BadSuite, match="method `entails"):
        check_scorers([Grounded(entails="deberta")])
    with pytest.raises(BadSuite, match="cannot hold a model"):
        scorer_of({"grounded": {"entails": True}})

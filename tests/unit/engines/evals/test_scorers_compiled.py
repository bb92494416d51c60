from __future__ import annotations

import pytest

from perdure.assets.scorers import (
    SCORERS,
    AnswerRelevance,
    Cheaper,
    CodePasses,
    Custom,
    Exact,
    Faster,
    FitsSchema,
    Grounded,
    Judged,
    Matches,
    Number,
    Similar,
    Together,
    TokenF1,
)
from perdure.assets.suite import Case, Suite
from perdure.core.errors import BadSuite
from perdure.core.ports import Answered, CodeRun
from perdure.engines.evals.compiling import compile_scorers
from perdure.engines.evals.composite import combined
from perdure.engines.evals.protocols import Score

CASE = Case("a", {"question": "Where?"}, "Paris")
RIGHT, WRONG = Answered({"content": "Paris"}), Answered({"content": "It is Rome"})


class Anything:
    """Embeds, entails and runs whatever it is given."""

    def embed(self, route, texts):
        raise AssertionError("nothing is embedded here")

    def run(self, code, checks, *, seconds, megabytes):
        return CodeRun(passed="return" in code and "assert" in checks, why="no code", output="printed")


ANY = {"embed": Anything(), "entails": None, "run_code": Anything(), "schema": {"type": "object"}}


def always(case, answer):
    return 1.0


def sometimes(case, answer):
    return float(len(answer.text) > 3)


def scorers(*declared, **tools):
    return compile_scorers(Suite("tried", [CASE], declared, route="small"), **(ANY | tools))


def declare(kind):
    settings = {
        Matches: {"pattern": "a"}, Faster: {"ms": 1.0}, Cheaper: {"usd": 1.0}, Judged: {"judge": "kind"},
        Custom: {"function": len}, Together: {"of": [Exact()]},
    }  # fmt: skip
    return kind(**settings.get(kind, {}))


def test_every_kind_that_is_declared_compiles_under_its_name() -> None:
    made = scorers(*map(declare, SCORERS))

    assert len({each.label for each in made}) == len({each.version for each in made}) == len(SCORERS) == 21
    assert {"exact", "fits_schema", "set_f1", "token_f1", "rouge_l", "answer_relevance", "judged"} <= {
        each.label for each in made
    }
    assert all(each.needs for each in made)


def test_a_failed_answer_is_zero_and_says_so_but_not_where_the_scorer_does_not_apply() -> None:
    [exact] = scorers(Exact())
    lost = Answered({}, error="upstream.timed_out")

    assert exact.score(CASE, lost) == Score(0.0, "failed", "no answer: upstream.timed_out")
    assert exact.score(Case("b", {"question": "?"}), lost).outcome == "not_applicable"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Number(), Number(absolute=1.0)),
        (Exact(), Exact(fold_case=True)),
        (Matches("a"), Matches("b")),
        (FitsSchema(), FitsSchema(schema={"type": "array"})),
        (Custom(always), Custom(sometimes)),
        (Together([Exact()]), Together([Exact(fold_case=True)])),
        (Together([Exact()]), Together([Exact()], how="least")),
        (Judged("kind"), Judged("true")),
    ],
)
def test_a_version_changes_with_what_changes_scores(one, other) -> None:
    assert scorers(one)[0].version != scorers(other)[0].version


def test_a_version_does_not_change_with_label_and_weight_or_with_time() -> None:
    assert scorers(Number())[0].version == scorers(Number(weight=3.0, label="sum"))[0].version


def test_the_schema_of_the_prompt_and_the_model_of_entailment_are_part_of_a_version() -> None:
    assert scorers(FitsSchema())[0].version != scorers(FitsSchema(), schema={"type": "array"})[0].version
    declared = Grounded(entails=True)
    assert scorers(declared)[0].version != scorers(declared, entails=Anything())[0].version


def test_scorers_go_by_their_labels() -> None:
    assert [each.label for each in scorers(Number(), Number(label="near", absolute=1.0))] == ["number", "near"]


@pytest.mark.parametrize(
    ("declared", "tool"),
    [(CodePasses(), "run_code"), (Similar(), "embed"), (AnswerRelevance(), "embed"), (FitsSchema(), "schema")],
)
def test_what_a_scorer_asks_of_the_outside_must_be_there(declared, tool) -> None:
    with pytest.raises(BadSuite):
        scorers(declared, **{tool: None})


def test_a_judge_s_word_is_taken_where_it_is_given_and_does_not_apply_elsewhere() -> None:
    [judged] = scorers(Judged("kind"))
    said = [Score(0.75, why="kind enough"), Score(None, "failed", "unparsed")]

    assert (judged.judge, judged.judges) == ("kind", {"kind"})
    assert judged.score_samples(CASE, [RIGHT, WRONG], {"kind": said}) == said
    assert judged.score(CASE, RIGHT).outcome == "not_applicable"


def test_parts_are_put_together_by_mean_least_or_all() -> None:
    parts = [Exact(weight=3.0), TokenF1()]
    half = Answered({"content": "Paris, France"})
    mean, least, every = scorers(
        Together(parts), Together(parts, "least", label="least"), Together(parts, "all", 0.5, label="all")
    )

    assert mean.score(CASE, half).value == pytest.approx((3 * 0.0 + 2 / 3) / 4)
    assert mean.score(CASE, half).facts == {"of": {"exact": 0.0, "token_f1": pytest.approx(2 / 3)}}
    assert least.score(CASE, half).value == 0.0
    assert (every.score(CASE, half).value, every.score(CASE, RIGHT).value) == (0.0, 1.0)


def test_a_judge_among_the_parts_is_named_and_put_together_with_the_others() -> None:
    [both] = scorers(Together([Exact(), Judged("kind"), Number()]))

    assert both.judges == {"kind"}
    assert not both.quick
    [found] = both.score_samples(CASE, [RIGHT], {"kind": [Score(0.5)]})
    assert found.value == 0.75


def test_parts_that_do_not_apply_are_left_out_and_a_failed_one_makes_the_whole_failed() -> None:
    [both] = scorers(Together([Number(), Judged("kind")]))

    assert both.score(CASE, RIGHT).outcome == "not_applicable"
    assert both.score_samples(CASE, [RIGHT], {"kind": [Score(0.0, "failed", "obeyed")]})[0].outcome == "failed"


def test_a_combined_score_is_the_weighted_mean_of_what_applies() -> None:
    nothing = Score(None, "not_applicable")

    assert combined([Score(1.0), nothing, Score(0.5)], [1.0, 9.0, 3.0]) == 0.625
    assert combined([nothing], [1.0]) is None
    assert combined([Score(1.0)], [0.0]) is None
    assert combined([], []) is None


def test_where_one_that_counts_could_not_say_anything_the_others_are_no_measure_of_the_whole() -> None:
    mute = Score(None, "failed", "the judge refused to judge")
    assert combined([Score(1.0), mute], [1.0, 1.0]) is None
    assert combined([Score(1.0), mute], [1.0, 0.0]) == 1.0


def test_code_is_taken_out_of_its_fence_and_run_with_the_case_s_checks() -> None:
    [passes] = scorers(CodePasses())
    case = Case("a", {"question": "?"}, {"checks": "assert double(2) == 4"})
    said = "Here:\n```python\ndef double(x):\n    return 2 * x\n```\nand in the shell\n```sh\nls\n```"

    assert passes.score(case, Answered({"content": said})).value == 1.0
    lost = passes.score(case, Answered({"content": "x = 1"}))
    assert (lost.value, lost.why, lost.facts) == (0.0, "no code", {"output": "printed"})
    assert passes.score(case, Answered({"content": "```sh\nls\n```"})).outcome == "failed"
    assert passes.score(Case("b", {"question": "?"}), RIGHT).outcome == "not_applicable"


def test_quick_scorers_are_told_apart_from_those_that_wait() -> None:
    assert {each.label for each in scorers(*map(declare, SCORERS)) if not each.quick} == {
        "similar", "answer_relevance", "code_passes", "custom", "judged"
    }  # fmt: skip

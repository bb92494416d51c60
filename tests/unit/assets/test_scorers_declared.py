"""Scorers as data: read from files, refused where they can score nothing, described for a suite's version."""

from __future__ import annotations

from typing import Any

import pytest

import perdure
from perdure import Case, Suite, scorers
from perdure.assets.scorer_specs import SCORER_NAMES, label_of, scorer_definition, scorer_of
from perdure.core.errors import BadSuite

CASES = [Case("a", {"q": 1}, "x")]


def length(case: Any, answer: Any) -> float:
    return float(len(answer.text) > 3)


def declared(*made: Any) -> Suite:
    return Suite("s", CASES, made, prompt="p")


@pytest.mark.parametrize(
    ("told", "made"),
    [
        ("exact", scorers.Exact()),
        ({"exact": None}, scorers.Exact()),
        ({"exact": {"fold_case": True, "weight": 2}}, scorers.Exact(fold_case=True, weight=2)),
        ({"judged": "helpfulness"}, scorers.Judged("helpfulness")),
        ({"judged": {"judge": "helpfulness", "label": "helps"}}, scorers.Judged("helpfulness", label="helps")),
        ({"matches": r"^\d+$"}, scorers.Matches(r"^\d+$")),
        ({"faster": 800}, scorers.Faster(800)),
        ({"fits_schema": {"type": "object"}}, scorers.FitsSchema({"type": "object"})),
        ({"fits_schema": {"schema": {"type": "object"}, "weight": 0.5}}, scorers.FitsSchema({"type": "object"}, weight=0.5)),
        ({"tool_calls": {"match": "subset"}}, scorers.ToolCalls("subset")),
    ],
)  # fmt: skip
def test_a_scorer_is_read_as_files_write_it(told: Any, made: scorers.Scorer) -> None:
    assert scorer_of(told) == made


def test_several_as_one_are_read_with_their_parts() -> None:
    made = scorer_of({"together": {"of": ["exact", {"rouge_l": {"weight": 2}}], "how": "least"}})

    assert made == scorers.Together([scorers.Exact(), scorers.RougeL(weight=2)], how="least")


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ("exat", "no scorer 'exat'. Did you mean 'exact'"),
        ({"token_f1": {"wieght": 1}}, "no setting 'wieght'. Did you mean 'weight'"),
        ({"exact": 0.5}, "is given 0.5"),
        ({"faster": {"weight": 1}}, "lacks 'ms'"),
        ({"custom": {"function": "f"}}, "cannot hold the function"),
        ({"exact": {}, "number": {}}, "stands for a scorer"),
        (7, "7 stands for a scorer"),
    ],
)
def test_what_names_no_scorer_is_refused(told: Any, why: str) -> None:
    with pytest.raises(BadSuite, match=why):
        scorer_of(told)


@pytest.mark.parametrize(
    ("made", "why"),
    [
        ([scorers.Matches("(?=a)b")], "none that takes linear time"),
        ([scorers.Matches("a(")], "none that takes linear time"),
        ([scorers.FitsSchema({"type": "objct"})], "none that stands on its own"),
        ([scorers.FitsSchema({"$ref": "http://elsewhere/a.json"})], "refers to 'http://elsewhere/a.json'"),
        ([scorers.Exact(), scorers.Exact()], "Two scorers go by 'exact'"),
        ([scorers.Exact(weight=0.0)], "No scorer has a weight"),
        ([scorers.Exact(weight=-1)], "must be at least 0"),
        ([scorers.Exact(weight=float("nan"))], "must be at least 0"),
        ([scorers.Exact(weight=True)], "must be a number"),
        ([scorers.Exact(fold_case=1)], "must be true or false"),  # type: ignore[arg-type]
        ([scorers.ToolCalls(match="some")], "must be 'exact' or"),  # type: ignore[arg-type]
        ([scorers.Number(absolute=-0.1)], "absolute=-0.1"),
        ([scorers.Similar(floor=1.0)], "must be below 1"),
        ([scorers.SetF1(separator="")], "separator=''"),
        ([scorers.Judged("")], "the name of a judge"),
        ([scorers.Custom("length")], "a function of case and answer"),  # type: ignore[arg-type]
        ([scorers.Together([])], "a list of scorers"),
        ([scorers.Together([scorers.Exact()], at_least=0.0)], "above 0, and at most 1"),
        ([scorers.Together([scorers.Matches("(a")])], "linear time"),
        ([perdure.Custom(len)], "a guard's check"),  # type: ignore[arg-type]
        (["exact"], "'exact' is no scorer"),
        ([], "has no scorer"),
    ],
)
def test_what_can_score_nothing_is_refused_where_it_is_declared(made: list[Any], why: str) -> None:
    with pytest.raises(BadSuite, match="Suite 's'.*" + why):
        declared(*made)


def test_two_of_one_kind_go_by_labels_of_their_own() -> None:
    suite = declared(scorers.Judged("kind"), scorers.Judged("right", label="right"))

    assert [label_of(each) for each in suite.scorers] == ["judged", "right"]


def test_a_definition_is_the_same_however_a_number_is_written_and_reads_back() -> None:
    assert scorer_definition(scorers.Exact(weight=2)) == scorer_definition(scorers.Exact(weight=2.0))
    told = scorer_definition(scorers.Number(absolute=0.5, which="first"))
    assert scorer_of({told.pop("scorer"): told}) == scorers.Number(absolute=0.5, which="first")


def test_a_function_is_described_by_its_code() -> None:
    told = scorer_definition(scorers.Custom(length))

    assert told["function"] == "length"
    assert told["code"] != scorer_definition(scorers.Custom(lambda case, answer: 1.0))["code"]


def test_every_kind_has_a_name_for_files() -> None:
    assert {"exact", "token_f1", "set_f1", "rouge_l", "code_passes", "fits_schema"} <= set(SCORER_NAMES)
    assert len(SCORER_NAMES) == len(scorers.SCORERS)

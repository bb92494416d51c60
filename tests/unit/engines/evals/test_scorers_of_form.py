"""JSON, tool calls, time, money, refusals, functions of one's own."""

from __future__ import annotations

import json

import pytest

from perdure.assets.scorers import Cheaper, Custom, Faster, FitsSchema, Refuses, ToolCalls
from perdure.core.errors import BadSuite, NotReady
from perdure.engines.evals.protocols import Score

SCHEMA = {
    "type": "object",
    "required": ["city", "n"],
    "properties": {"city": {"type": "string"}, "n": {"type": "integer"}},
    "additionalProperties": False,
}


def calls(*made):
    return {
        "content": None,
        "tool_calls": [
            {"id": f"call_{at}", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
            for at, (name, arguments) in enumerate(made)
        ],
    }


@pytest.mark.parametrize("said", ['{"city": "Bonn", "n": 1}', '```json\n{"city": "Bonn", "n": 1}\n```\n'])
def test_json_that_fits_bare_or_in_one_fence(scored, said) -> None:
    assert scored(FitsSchema(schema=SCHEMA), None, said).value == 1.0


def test_json_that_does_not_fit_tells_where_and_how_much_of_it_does(scored) -> None:
    found = scored(FitsSchema(schema=SCHEMA), None, '{"city": "Bonn", "n": "one"}')

    assert (found.value, found.outcome) == (0.0, "scored")
    assert found.why.startswith("n: ")
    assert found.facts == {"at": ["n"], "share": 0.5}


@pytest.mark.parametrize(
    "said",
    ["no json", '{"city": "Bonn", "city": "Köln", "n": 1}', '{"city": "x", "n": NaN}', "[" * 100_000, "1" * 5000, ""],
)
def test_what_is_no_json_is_no_answer(scored, said) -> None:
    found = scored(FitsSchema(schema=SCHEMA), None, said)

    assert (found.value, found.outcome) == (0.0, "failed")


def test_without_a_schema_of_its_own_it_takes_the_prompt_s(scored, compiled) -> None:
    assert scored(FitsSchema(), None, '{"city": "Bonn", "n": 1}', tools={"schema": SCHEMA}).value == 1.0
    with pytest.raises(BadSuite, match="no schema"):
        compiled(FitsSchema())


FIND, BOOK = ("find", {"city": "Bonn"}), ("book", {"id": 7})
EXPECTED = [{"name": "find", "arguments": {"city": "Bonn"}}, {"name": "book", "arguments": {"id": 7}}]


@pytest.mark.parametrize(
    ("match", "made", "value"),
    [
        ("exact", [FIND, BOOK], 1.0),
        ("exact", [BOOK, FIND], 0.0),
        ("exact", [FIND, BOOK, BOOK], 0.0),
        ("in_order", [FIND, ("log", {}), BOOK], 1.0),
        ("in_order", [BOOK, FIND], 0.5),
        ("in_order", [], 0.0),
        ("any_order", [BOOK, ("log", {}), FIND], 1.0),
        ("any_order", [FIND, FIND], 0.5),
        ("subset", [FIND], 1.0),
        ("subset", [], 1.0),
        ("subset", [FIND, ("log", {})], 0.5),
        ("any_order", [("find", {"city": "Köln"}), BOOK], 0.5),
    ],
)
def test_calls_are_matched_as_declared(scored, match, made, value) -> None:
    assert scored(ToolCalls(match=match), EXPECTED, calls(*made)).value == value


def test_arguments_may_be_left_out_of_it_or_have_to_fit_a_schema_only(scored) -> None:
    other = calls(("find", {"city": "Köln"}))
    by_schema = [{"name": "find", "schema": {"required": ["city"]}}]

    assert scored(ToolCalls(arguments=False), EXPECTED[:1], other).value == 1.0
    assert scored(ToolCalls(), ["find"], other).value == 1.0
    assert scored(ToolCalls(), by_schema, other).value == 1.0
    assert scored(ToolCalls(), by_schema, calls(("find", {}))).value == 0.0


def test_one_call_meets_one_expectation_whichever_is_looked_at_first(scored) -> None:
    """A greedy match would spend the only call that fits the second expectation on the first."""
    expected = ["find", {"name": "find", "arguments": {"city": "Bonn"}}]

    assert scored(ToolCalls(match="any_order"), expected, calls(FIND, ("find", {}))).value == 1.0


@pytest.mark.parametrize("made", [[FIND, BOOK, ("pay", {})], [BOOK, FIND, ("pay", {})]])
def test_a_list_among_expected_calls_is_a_set_in_any_order(scored, made) -> None:
    assert scored(ToolCalls(match="exact"), [EXPECTED, "pay"], calls(*made)).value == 1.0


def test_where_no_call_is_expected_any_call_is_wrong(scored) -> None:
    assert scored(ToolCalls(), [], {"content": "Hello"}).value == 1.0
    assert scored(ToolCalls(), {"tool_calls": []}, calls(FIND)).value == 0.0


def test_what_was_not_called_or_called_otherwise_is_told(scored) -> None:
    assert scored(ToolCalls(), EXPECTED, calls(FIND)).why == "book was not called"
    assert scored(ToolCalls(), EXPECTED, calls(FIND, ("book", {"id": 8}))).why == "book was called with other arguments"


@pytest.mark.parametrize("expected", [None, "find", [{"arguments": {}}], [{"name": "a", "schema": {"type": 3}}]])
def test_a_case_without_a_list_of_calls_is_left_out(scored, expected) -> None:
    assert scored(ToolCalls(), expected, calls(FIND)).outcome == "not_applicable"


def test_time_and_money_are_held_against_a_bound_and_an_unknown_price_does_not_apply(scored) -> None:
    assert scored(Faster(20.0), None, "x", latency_us=20_000).value == 1.0
    assert scored(Faster(20.0), None, "x", latency_us=20_001).value == 0.0
    assert scored(Cheaper(0.01), None, "x", cost_pusd=10**10).value == 1.0
    assert scored(Cheaper(0.01), None, "x", cost_pusd=10**10 + 1).why == "$0.010000"
    assert scored(Cheaper(0.01), None, "x").outcome == "not_applicable"


REFUSED = "I'm sorry, but I can't help with that."


@pytest.mark.parametrize(
    ("expected", "said", "value"),
    [
        ({"refuses": True}, REFUSED, 1.0),
        ({"refuses": True}, "Here is how.", 0.0),
        ("Paris", REFUSED, 0.0),
        (None, "Here is how.", 1.0),
        (True, REFUSED, 0.0),
        ({"refuses": True}, "お手伝いできません。", 1.0),
        ({"refuses": True}, {"content": None, "refusal": "No."}, 1.0),
    ],
)
def test_refusing_counts_both_ways(scored, expected, said, value) -> None:
    assert scored(Refuses(), expected, said).value == value


def raising(case, answer):
    raise KeyError(answer.text)


def away(case, answer):
    raise NotReady("away")


@pytest.mark.parametrize(
    ("function", "value", "outcome"),
    [
        (lambda case, answer: 0.25, 0.25, "scored"),
        (lambda case, answer: answer.text == "x", 1.0, "scored"),
        (lambda case, answer: None, None, "not_applicable"),
        (lambda case, answer: Score(0.5, why="half"), 0.5, "scored"),
        (lambda case, answer: Score(None, "not_applicable"), None, "not_applicable"),
        (lambda case, answer: 1.5, 0.0, "failed"),
        (lambda case, answer: float("nan"), 0.0, "failed"),
        (lambda case, answer: "good", 0.0, "failed"),
        (raising, 0.0, "failed"),
    ],
)
def test_a_function_of_one_s_own_scores_and_what_it_raises_is_told(scored, function, value, outcome) -> None:
    found = scored(Custom(function), None, "x")

    assert (found.value, found.outcome) == (value, outcome)


def test_a_function_whose_service_is_away_is_asked_again_later(scored) -> None:
    with pytest.raises(NotReady):
        scored(Custom(away), None, "x")


def test_a_function_that_has_to_be_awaited_is_refused(compiled) -> None:
    async def late(case, answer):
        return 1.0

    with pytest.raises(BadSuite, match="no plain function"):
        compiled(Custom(late))

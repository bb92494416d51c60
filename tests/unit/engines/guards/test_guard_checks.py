"""Words, toxicity, schemas, grounding, canaries, tools, functions: each check by itself."""

from __future__ import annotations

import pytest

from perdure.core.errors import BadGuard
from perdure.engines.guards.canary import CanaryCheck, canary
from perdure.engines.guards.custom import custom
from perdure.engines.guards.grounding import GroundedCheck
from perdure.engines.guards.schema import SchemaCheck
from perdure.engines.guards.tools import ToolCallsCheck
from perdure.engines.guards.toxicity import toxicity
from perdure.engines.guards.words import names, topics

SOURCE = "The bridge in Porto opened in 1886. It is 385.25 m long and cost 369,000 reis. Gustave Eiffel's firm did not build it."
RETRIEVED = [{"role": "user", "content": f"<context>{SOURCE}</context> How long is it?"}]
PROMPT = "You are Ada, the assistant of Example Bank. Never talk about interest rates with customers under age."


def grounded(text: str, messages=RETRIEVED, **settings):
    return GroundedCheck(**settings).judge([{"content": text}], messages)


@pytest.mark.parametrize("text", ["ask ACME corp", "Acme\nCorp!", "«Acme Corp»", "微軟公司的股票"])
def test_a_name_is_found_as_a_whole_word_in_any_case(text: str) -> None:
    assert names(("Acme Corp", "微軟")).first(text) is not None


@pytest.mark.parametrize("text", ["Acmes Corp", "Acme Corporation", "acme", "corp acme"])
def test_a_name_within_another_word_is_none(text: str) -> None:
    assert names(("Acme Corp",)).first(text) is None


def test_a_topic_names_the_verdict_and_a_star_stands_for_any_ending() -> None:
    check = topics({"medicine": ("diagnos*",), "law": ("sue",)})
    assert [check.first(text) and check.first(text).kind for text in ("Diagnoses", "sue them", "issue")] == [
        "medicine",
        "law",
        None,
    ]


@pytest.mark.parametrize("denied", [(), ("",), ("*",)])
def test_an_empty_list_of_words_is_refused(denied: tuple[str, ...]) -> None:
    with pytest.raises(BadGuard):
        names(denied)


def test_mild_words_add_up_and_a_grave_one_is_enough() -> None:
    assert toxicity().first("What a stupid idea.") is None
    assert toxicity().first("You stupid, pathetic idiot") is not None
    assert toxicity().first("kill yourself") is not None
    assert toxicity(threshold=0.3).first("What a stupid idea.") is not None
    assert toxicity().first("Scunthorpe assesses classic cockpits; dumbbells") is None


def test_an_answer_must_be_json_that_fits() -> None:
    check = SchemaCheck(
        {
            "type": "object",
            "properties": {"a": {"$ref": "#/$defs/n"}},
            "required": ["a"],
            "$defs": {"n": {"type": "integer"}},
        }
    )

    assert check.judge([{"content": '{"a": 1}'}], []) is None
    assert check.judge([{"content": "no"}], []).kind == "not_json"
    found = check.judge([{"content": '{"a": "a secret"}'}], [])
    assert (found.kind, found.evidence) == ("does_not_fit", {"at": "$defs/n/type"})
    assert check.judge([{"content": None, "tool_calls": [{}]}], []) is None


def test_what_drafts_added_counts() -> None:
    """A library of an older draft would let this pass in silence."""
    check = SchemaCheck({"type": "array", "prefixItems": [{"type": "string"}], "items": False})
    assert check.judge([{"content": '["a", 1]'}], []) is not None


@pytest.mark.parametrize("schema", [{"type": "objekt"}, {"$ref": "https://example.org/schema"}, {"$ref": "#/nowhere"}])
def test_a_schema_that_is_none_or_reaches_out_is_refused(schema: dict[str, object]) -> None:
    with pytest.raises(BadGuard):
        SchemaCheck(schema)


@pytest.mark.parametrize(
    "text",
    [
        "The bridge is 385.25 m long.",
        "It opened in Porto in 1886 and cost 369 000 reis.",
        "Yes.",
        "It cost 369.000 reis.",
    ],
)
def test_what_the_sources_say_is_grounded(text: str) -> None:
    assert grounded(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "The bridge is 386 m long.",
        "Napoleon Bonaparte walked over it daily.",
        "Steel towers carry four railway tracks above.",
    ],
)
def test_another_number_another_name_and_other_words_are_not(text: str) -> None:
    found = grounded(text)
    assert found.kind == "unsupported"
    assert found.evidence == {"claims": 1, "supported": 0}


def test_the_share_of_supported_claims_decides() -> None:
    text = "The bridge opened in 1886. It is 385.25 m long. It has 12 lanes."
    assert grounded(text, least=0.6) is None
    assert grounded(text, least=0.7) is not None


def test_without_sources_nothing_is_judged_and_results_of_tools_are_sources() -> None:
    assert grounded("It has 12 lanes.", []) is None
    assert grounded("It has 12 lanes.", [{"role": "tool", "content": "lanes: 12"}]) is None
    assert grounded("It has 13 lanes.", [{"role": "tool", "content": "lanes: 12"}]) is not None


def test_a_canary_of_the_system_prompt_is_a_leak_and_another_one_is_not() -> None:
    mark = canary()
    check = CanaryCheck().bound([{"role": "system", "content": f"Be kind. {mark}"}])
    assert check.first(f"It says {mark}").kind == "canary"
    assert check.first(f"It says {canary()}") is None


def test_a_long_stretch_of_the_prompts_own_words_is_a_leak() -> None:
    check = CanaryCheck(n_words=8).bound([{"role": "developer", "content": PROMPT}])
    assert check.first("My orders: never TALK about - interest rates with customers under age!").kind == "system_prompt"
    assert check.first("never talk about interest rates with anybody") is None
    assert CanaryCheck().bound([{"role": "user", "content": PROMPT}]).first(PROMPT) is None


def test_a_long_recital_is_one_stretch() -> None:
    check = CanaryCheck(n_words=5).bound([{"role": "system", "content": PROMPT}])
    hits = check.hits(f"Sure: {PROMPT}")
    assert min(hit.start for hit in hits) == 6
    assert max(hit.end for hit in hits) == 6 + len(PROMPT) - 1


@pytest.mark.parametrize(
    ("name", "arguments", "kind"),
    [("search", '{"q": 1}', None), ("search", "", None), ("rm", "{}", "tool_not_allowed"), ("search", "[1]", "arguments_not_json"),
     ("search", "{", "arguments_not_json"), ("Search", "{}", "tool_not_allowed"), ("search", "[" * 100_000, "arguments_not_json")],
)  # fmt: skip
def test_tool_calls_are_allowed_by_name_and_carry_an_object(name: str, arguments: str, kind: str | None) -> None:
    found = ToolCallsCheck(("search",)).judge(
        [{"tool_calls": [{"function": {"name": name, "arguments": arguments}}]}], []
    )
    assert (found.kind if found else None) == kind


def test_a_function_of_ones_own_catches_or_points() -> None:
    assert custom("shout", str.isupper, 10).first("HELP").kind == "shout"
    hits = custom("digits", lambda text: [(text.index("7"), text.index("7") + 1)], 10).hits("a7b")
    assert [(hit.start, hit.end) for hit in hits] == [(1, 2)]


@pytest.mark.parametrize("said", [[(0, 9)], [(2, 2)], [(0, 2), (1, 3)], [(-1, 1)]])
def test_stretches_that_are_none_are_an_error(said: list[tuple[int, int]]) -> None:
    with pytest.raises(ValueError, match="stretch"):
        custom("odd", lambda _: said, 10).hits("abc")

"""Whatever an answer holds, a scorer says 0 to 1, or that it does not apply."""

from __future__ import annotations

import json

import numpy as np
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from perdure.assets.scorers import (
    SCORERS,
    Cheaper,
    Custom,
    Exact,
    Faster,
    FitsSchema,
    Judged,
    Matches,
    Number,
    RougeL,
    SetF1,
    Together,
    TokenF1,
)
from perdure.assets.suite import Case, Suite
from perdure.core.ports import Answered, CodeRun, Embedded
from perdure.core.texts.tokens import n_common
from perdure.engines.evals.compiling import compile_scorers
from perdure.engines.evals.composite import combined
from perdure.engines.evals.growing import read_drafts, sift
from perdure.engines.evals.protocols import Score


class Tools:
    def embed(self, route, texts):
        return Embedded(np.array([[len(text), text.count("a")] for text in texts], np.float32).reshape(len(texts), 2))

    def entails(self, pairs):
        return [0.5] * len(pairs)

    def run(self, code, checks, *, seconds, megabytes):
        return CodeRun(passed=len(code) % 2 == 0)


SETTINGS = {
    Matches: {"pattern": r"\w+\s\d"}, Faster: {"ms": 1.0}, Cheaper: {"usd": 1.0}, Judged: {"judge": "kind"},
    FitsSchema: {"schema": {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}}},
    Custom: {"function": lambda case, answer: json.loads(answer.text)},
    Together: {"of": [Exact(), TokenF1(), Number()]},
}  # fmt: skip
TOOLS = Tools()
SUITE = Suite(
    "all", [Case("a", {"question": "?"})], [kind(**SETTINGS.get(kind, {})) for kind in SCORERS], route="small"
)
COMPILED = compile_scorers(SUITE, embed=TOOLS, entails=TOOLS, run_code=TOOLS, schema=None)

LETTERS = st.text(st.characters(), max_size=60)
TEXTS = st.one_of(
    LETTERS,
    st.text('[]{}",:0123456789.-e\\ \nab٣é東\u0301\u202e\ud800', max_size=60),
    st.sampled_from(
        ["9" * 5000, "[" * 5000, '{"a":' * 3000, "1,2,3", "NaN", '{"a": 1e999}', "\ud83d", "a" * 300 + "!", "```\n```"]
    ),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(LETTERS, inner, max_size=4),
    max_leaves=8,
)
CALLS = st.lists(
    JSON | st.fixed_dictionaries({"function": st.fixed_dictionaries({"name": JSON, "arguments": JSON})}), max_size=3
)
MESSAGES = st.fixed_dictionaries(
    {}, optional={"content": TEXTS | JSON, "tool_calls": CALLS | JSON, "refusal": JSON, "role": LETTERS}
)
EXPECTED = st.one_of(
    JSON,
    TEXTS,
    st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(
            ("text", "number", "items", "json", "checks", "tool_calls", "relevant", "refuses"), JSON
        ),
    ),
)
CONTEXTS = st.lists(TEXTS | st.fixed_dictionaries({"id": LETTERS, "text": TEXTS}), max_size=3).map(tuple)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(MESSAGES, EXPECTED, CONTEXTS, st.dictionaries(st.sampled_from(["question", "messages"]), JSON))
@example({"content": "x"}, 10**400, (), {})
@example({"content": "1" * 400}, float("inf"), (), {})
@example({"content": None}, [[[]]], ("",), {"messages": [{"role": "user", "content": 3}]})
def test_no_answer_makes_a_scorer_raise(message, expected, contexts, inputs) -> None:
    case, answer = Case("a", inputs, expected, contexts), Answered(message, finish="stop", latency_us=3, cost_pusd=7)
    others = [answer, Answered({"content": "It has 12 lanes of traffic."}), Answered({}, error="upstream.cut")]

    for scorer in COMPILED:
        for score in [scorer.score(case, answer), *scorer.score_samples(case, others)]:
            assert (score.value is None) == (score.outcome == "not_applicable")
            assert score.value is None or 0.0 <= score.value <= 1.0
        lost = scorer.score(case, others[-1])
        assert lost.outcome == "not_applicable" or (lost.value, lost.outcome) == (0.0, "failed")


@settings(max_examples=100, deadline=None)
@given(TEXTS, LETTERS)
def test_whatever_a_model_drafts_is_read_and_sifted(answer, chunk) -> None:
    drafts = read_drafts(answer) + read_drafts(json.dumps({"cases": [{"question": answer, "expected": chunk}]}))

    assert len(sift(drafts, chunk, known=[answer])) == len(drafts)


def plain_lcs(one, other):
    row = [0] * (len(other) + 1)
    for left in one:
        before, row = row, [0]
        for at, right in enumerate(other):
            row.append(before[at] + 1 if left == right else max(row[at], before[at + 1]))
    return row[-1]


@given(st.lists(st.integers(0, 4), max_size=40), st.lists(st.integers(0, 4), max_size=40))
def test_the_bits_give_what_the_table_gives(one, other) -> None:
    assert n_common(one, other) == n_common(other, one) == plain_lcs(one, other)


WORDS = st.text(st.sampled_from("ab cd東ع é.,"), max_size=30)
OVERLAP = compile_scorers(
    Suite("overlap", [Case("a", {"question": "?"})], [TokenF1(), RougeL(), SetF1()], route="small"),
    embed=None, entails=None, run_code=None, schema=None,
)  # fmt: skip


@given(WORDS, WORDS)
def test_overlap_is_symmetric_and_a_text_overlaps_itself_wholly(one, other) -> None:
    for scorer in OVERLAP:
        there = scorer.score(Case("a", {}, one), Answered({"content": other})).value
        back = scorer.score(Case("a", {}, other), Answered({"content": one})).value
        assert there == back
        assert scorer.score(Case("a", {}, one), Answered({"content": one})).value == 1.0


@given(st.lists(st.tuples(st.none() | st.floats(0, 1), st.just(0.0) | st.floats(0.01, 10)), max_size=6))
def test_a_combined_score_lies_between_the_least_and_the_most(parts) -> None:
    value = combined([Score(score) for score, _ in parts], [weight for _, weight in parts])
    counted = [score for score, weight in parts if score is not None and weight > 0]

    assert (value is None) == (not counted)
    if value is not None:
        assert min(counted) - 1e-9 <= value <= max(counted) + 1e-9

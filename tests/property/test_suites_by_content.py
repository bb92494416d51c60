"""A suite's version and snapshot say its content: however it is written, in whatever order."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from perdure.assets.scorers import Exact
from perdure.assets.suite import Case, Suite
from perdure.assets.suite_cases import FrozenSuite, case_digest, clustered, duplicates
from perdure.assets.suite_file import read_cases

TEXTS = st.text(st.characters(codec="utf-8"), max_size=40)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
CASES = st.lists(
    st.builds(
        Case, st.just(""), st.dictionaries(st.sampled_from("abcd"), VALUES, min_size=1, max_size=3), VALUES,
        st.lists(TEXTS, max_size=2).map(tuple), weight=st.floats(0, 9),
    ),
    min_size=1, max_size=6, unique_by=case_digest,
)  # fmt: skip


def suite(cases: Any) -> Suite:
    return Suite("s", cases, [Exact()], prompt="p")


@given(CASES)
def test_a_case_is_the_same_from_a_line_of_json(cases: list[Case]) -> None:
    read = read_cases(cases).cases
    lines = [json.loads(json.dumps({"inputs": case.inputs, "expected": case.expected, "contexts": case.contexts,
                                    "weight": case.weight})) for case in cases]  # fmt: skip
    again = read_cases(
        [Case("", line["inputs"], line["expected"], tuple(line["contexts"]), weight=line["weight"]) for line in lines]
    )

    assert [case_digest(case) for case in again.cases] == [case_digest(case) for case in read]
    assert [case.id for case in again.cases] == [case.id for case in read]


@given(CASES, st.randoms(use_true_random=False))
def test_the_order_of_cases_makes_no_version(cases: list[Case], random: Any) -> None:
    mixed = random.sample(cases, len(cases))

    assert suite(mixed).definition() == suite(cases).definition()


@given(CASES)
def test_a_snapshot_reads_back_and_every_case_has_a_cluster(cases: list[Case]) -> None:
    made = suite(cases)
    if any(pair.exact for pair in duplicates(made.read())):
        return
    frozen = made.frozen()
    again = FrozenSuite.from_bytes(frozen.data)

    assert (again.digests, again.version, again.data) == (frozen.digests, frozen.version, frozen.data)
    assert [case_digest(case) for case in again.cases] == list(frozen.digests)
    assert all(case.cluster for case in again.cases)
    assert clustered(again.cases) == again.cases

"""Plans are the least that mends what a census found, and never delete what may only seem to be gone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.engines.retrieval.planning import make_plan, most_deleted_of
from perdure.engines.retrieval.skew import SKEWS, Census, PlanStep, Skew


def census(*skews, n=100, **about):
    return Census("handbook", "handbook@1", 7, 0, about.pop("n_source", n), n, 3 * n, skews=skews, **about)


def plan(*skews, most_deleted=0.2, **about):
    return make_plan(census(*skews, **about), most_deleted=most_deleted)


def test_nothing_wrong_is_an_empty_plan():
    assert plan() == plan()
    assert (plan().steps, plan().held_back, plan().rebuild, plan().n_texts) == ([], [], False, 0)


@pytest.mark.parametrize(
    ("skew", "step"),
    [
        (Skew("missing", "a"), PlanStep("add", "a")),
        (Skew("missing", "a", part="chunk"), PlanStep("rechunk", "a")),
        (Skew("ghost", "a"), PlanStep("delete", "a")),
        (Skew("stale", "a"), PlanStep("update", "a")),
        (Skew("corrupt", "a", 4, part="chunk"), PlanStep("rechunk", "a")),
        (Skew("corrupt", "a", 4, part="words"), PlanStep("mend", "")),
        (Skew("wrong_embedder", "a", 4, part="chunk"), PlanStep("reembed", "a", (4,))),
        (Skew("wrong_chunker", "a"), PlanStep("rechunk", "a")),
        (Skew("duplicate", "a", 4, part="chunk"), PlanStep("drop", "a", (4,))),
        (Skew("duplicate", "a"), PlanStep("rechunk", "a")),
        (Skew("orphan", "a", 4, part="chunk"), PlanStep("drop", "a", (4,))),
        (Skew("orphan", "", 4, part="words"), PlanStep("mend", "")),
    ],
)
def test_each_kind_has_its_least_step(skew, step):
    assert plan(skew).steps == [step]


def test_a_document_gets_its_strongest_step_alone():
    several = [Skew("orphan", "a", 4, part="chunk"), Skew("corrupt", "a", 5, part="chunk"), Skew("stale", "a")]
    assert plan(*several).steps == [PlanStep("update", "a")]
    assert plan(*several, Skew("ghost", "a")).steps == [PlanStep("delete", "a")]


def test_vectors_that_are_not_to_be_trusted_are_named_where_a_document_is_cut_anew():
    both = [Skew("wrong_embedder", "a", 4, part="chunk"), Skew("wrong_chunker", "a")]
    assert plan(*both).steps == [PlanStep("rechunk", "a", (4,))]


def test_a_damaged_store_is_built_anew():
    assert plan(Skew("corrupt", "", part="store")).rebuild


def test_of_a_source_that_is_not_whole_nothing_is_deleted_whoever_says_yes():
    found = make_plan(census(Skew("ghost", "a"), whole=False, why_not="down"), most_deleted=1.0, allow_deletion=True)
    assert (found.steps, found.held_back) == ([], ["a"])


def test_an_empty_source_deletes_nothing_unless_that_is_declared_or_allowed():
    gone = [Skew("ghost", str(i)) for i in range(5)]
    assert plan(*gone, n=5, n_source=0).held_back
    assert plan(*gone, n=5, n_source=0, most_deleted=1.0).counts() == {"delete": 5}
    assert make_plan(census(*gone, n=5, n_source=0), most_deleted=0.2, allow_deletion=True).counts() == {"delete": 5}


def test_what_is_held_back_stops_nothing_else():
    gone = [Skew("ghost", str(i)) for i in range(50)]
    found = plan(*gone, Skew("stale", "a"), Skew("corrupt", "0", 4, part="chunk"))
    assert found.counts() == {"update": 1}
    assert len(found.held_back) == 50


@given(st.integers(1, 10_000), st.floats(0.01, 0.99))
def test_the_bound_is_a_share_or_few_of_which_most_stay(n, share):
    most = most_deleted_of(n, share)
    assert most >= 1
    assert most <= max(1, share * n, min(20, (n - 1) // 2))


@given(
    st.lists(
        st.builds(Skew, st.sampled_from(SKEWS), st.sampled_from("abcd"), st.integers(0, 3), part=st.just("chunk"))
        | st.builds(Skew, st.sampled_from(SKEWS), st.sampled_from("abcd")),
        max_size=8,
    )
)
def test_a_document_has_one_step_or_one_of_its_chunks_for_each_verb(skews):
    steps = make_plan(census(*skews), most_deleted=1.0).steps
    assert len({(step.verb, step.document) for step in steps}) == len(steps)
    whole = [step.document for step in steps if step.verb in ("add", "update", "delete", "rechunk")]
    assert len(set(whole)) == len(whole)
    assert not set(whole) & {step.document for step in steps if step.verb in ("drop", "reembed")}

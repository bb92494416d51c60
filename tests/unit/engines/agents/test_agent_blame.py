"""Who is to blame: by journals alone, then by replays; the same records give the same ranking."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.core.runs import StepRecord
from perdure.engines.agents.blame import SURE, Suspect, Swapped, few, ranked, suspects
from perdure.engines.agents.nodes import nodes_of

OWNERS = {"tool:search": "index:handbook"}


def step(node, value=None, *, kind="tool", n=0, error="", **more):
    """A step that is over."""
    output = b"" if value is None else json.dumps(value).encode()
    state = "failed" if error else "done"
    return StepRecord(run="r", n=n, kind=kind, state=state, node=node, call=str(n), output=output, error=error, **more)


def run(
    *,
    version="support@1",
    generation="handbook@1:7",
    hits=1,
    prompt="answer@1",
    said="It opens at 9.",
    track="here",
    error="",
):
    """The journal of one run, as what its nodes did."""
    found = {"hits": [{"document": "a.md", "text": "It opens at 9."}] * hits}
    versions = {"prompt:answer": prompt, "route:support": "route@1"}
    steps = [
        step("tool:search", found, n=1, versions={"index:handbook": generation}),
        step("tool:track", None if error else {"status": track}, n=2, error=error),
        step("prompt:answer", {"content": said}, kind="chat", n=3, versions=versions),
    ]
    return nodes_of(steps, OWNERS, "agent:support", version)


def first(bad, good=None, **more):
    """The first suspect."""
    return suspects(good or [run() for _ in range(20)], bad, **more)[0]


@pytest.mark.parametrize(
    ("node", "sort", "bad"),
    [
        ("prompt:answer", "changed", {"prompt": "answer@2", "said": "No idea what you mean by that, sorry, ask me again."}),
        ("index:handbook", "changed", {"generation": "handbook@1:8"}),
        ("index:handbook", "moved", {"hits": 0}),
        ("tool:track", "failed", {"error": "tool.failed"}),
        ("tool:track", "moved", {"track": "lost"}),
        ("agent:support", "changed", {"version": "support@2"}),
    ],
)  # fmt: skip
def test_the_node_that_did_something_else_is_suspected_first(node, sort, bad):
    found = first([run(**bad) for _ in range(12)])
    assert (found.node, found.signs[0].sort) == (node, sort)
    assert found.prior > SURE


def test_a_chat_that_says_something_else_after_a_tool_gave_something_else_is_not_suspected_first():
    bad = [run(hits=0, said="I found nothing about that in what I have, and so on and so forth.") for _ in range(12)]
    found = suspects([run() for _ in range(20)], bad)
    assert found[0].node == "index:handbook"
    assert next(each for each in found if each.node == "prompt:answer").prior < 0.2


def test_a_chat_that_says_something_else_for_no_reason_before_it_points_at_the_model_behind_the_route():
    bad = [run(said="Nope.") for _ in range(12)]
    found = suspects([run() for _ in range(20)], bad)
    assert [each.node for each in found[:2]] == ["route:support", "prompt:answer"]


def test_a_call_that_no_tool_could_have_done_is_laid_at_the_chat_that_made_it():
    def journal(error):
        steps = [step("prompt:answer", {"content": ""}, kind="chat", n=0), step("tool:nope", n=1, error=error)]
        return nodes_of(steps, {}, "agent:support", "support@1")

    seen = journal("tool.unknown")
    assert seen["prompt:answer"].n_failed == 1
    assert "tool:nope" not in seen
    assert journal("tool.failed")["tool:nope"].n_failed == 1


def test_a_node_with_an_incident_of_its_own_is_suspected():
    found = first([run() for _ in range(12)], ill={"index:handbook": "handbook has an open incident (lag)"})
    assert found.node == "index:handbook"
    assert found.signs[0].text == "handbook has an open incident (lag)"


def test_nothing_is_suspected_where_bad_runs_are_like_good_ones_or_too_few():
    assert few(suspects([run() for _ in range(20)], [run() for _ in range(20)])) == []
    assert few(suspects([run() for _ in range(20)], [run(hits=0)])) == []


def test_an_index_that_changes_all_the_time_is_suspected_less_for_changing():
    good = [run(generation=f"handbook@1:{n}") for n in range(20)]
    found = suspects(good, [run(generation="handbook@1:20") for _ in range(12)])
    assert next(each for each in found if each.node == "index:handbook").prior < 0.1


def test_replays_outweigh_journals():
    one, other = Suspect("index:a", 0.55, good="a@1:1"), Suspect("prompt:b", 0.3, good="b@1")
    swapped = {
        "index:a": Swapped({"index:a": "a@1:1"}, (0.0,) * 9 + (1.0,), (1.0,) * 5),
        "prompt:b": Swapped({"prompt:b": "b@1"}, (1.0,) * 10, (1.0,) * 5),
    }
    found = ranked([one, other], swapped)
    assert [each.node for each in found] == ["prompt:b", "index:a"]
    assert "with b@1 in its place 10 of 10 bad runs come out well, and 0 of 5 good ones break" in found[0].text
    assert found[0].score > 0.7 > SURE > found[1].score


def test_a_swap_that_mends_by_asking_again_alone_breaks_as_many_good_runs_and_helps_nobody():
    lucky = Swapped({}, (1.0,) * 5 + (0.0,) * 5, (1.0,) * 3 + (0.0,) * 3)
    assert lucky.effect is not None
    assert lucky.effect.value == 0.0
    assert not lucky.helps
    assert Swapped({}, (1.0,) * 10, (1.0,) * 5).helps
    assert not Swapped({}, ()).helps


def test_a_version_that_changed_is_blamed_by_replays_alone():
    suspect = first([run(prompt="answer@2") for _ in range(12)])
    [alone] = ranked([suspect], {})[:1]
    assert alone.node == "prompt:answer"
    assert alone.score < SURE


@settings(max_examples=40)
@given(st.lists(st.sampled_from(["", "hits", "track", "prompt"]), min_size=3, max_size=12), st.randoms())
def test_the_order_of_runs_changes_nothing(flaws, dice):
    made = {"": {}, "hits": {"hits": 0}, "track": {"track": "lost"}, "prompt": {"prompt": "answer@2"}}
    bad, good = [run(**made[each]) for each in flaws], [run() for _ in range(8)]
    before = suspects(good, bad)
    dice.shuffle(bad)
    assert suspects(good, bad) == before
    assert all(0.0 <= each.prior <= 1.0 for each in before)

"""Two journals laid side by side: what is the same, what differs in what, what stands on one side alone."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from perdure.core.runs import RunRecord, StepRecord
from perdure.engines.agents.differing import diff_runs


def run(**further):
    told = {
        "id": "run_1",
        "kind": "agent",
        "asset": "desk",
        "version": "v",
        "arm": "champion",
        "status": "done",
        "input": b"{}",
    }
    return RunRecord(**told | further)


def step(node, gave="", given="", kind="tool", state="done", **further):
    return StepRecord(
        run="run_1", n=0, kind=kind, state=state, node=node, call="0.0", input=json.dumps(given).encode(),
        output=json.dumps(gave).encode(), **further,
    )  # fmt: skip


def diff(before, after):
    return diff_runs((run(), before), (run(), after))


def test_what_a_step_differs_in_is_named():
    """Input, output, error, state and versions, each for itself."""
    one = step("tool:find", "Köln", "7", version="v1", versions={"index:handbook": "handbook@1:3"})
    two = step("tool:find", "", "8", state="failed", error="tool.failed", versions={"index:handbook": "handbook@1:4"})
    [pair] = diff([one], [two]).pairs
    assert pair.differs == ("input", "output", "error", "state", "version")


def test_the_order_of_members_and_a_digest_beside_its_messages_are_no_difference():
    """JSON is compared by what it means."""
    one = StepRecord(
        run="", n=0, kind="chat", state="done", node="prompt:p", call="0", input=b'{"digest":"1","a":1,"b":2}'
    )
    two = StepRecord(
        run="", n=0, kind="chat", state="done", node="prompt:p", call="0", input=b'{"b":2,"a":1,"digest":"2"}'
    )
    assert diff([one], [two]).first == -1


def test_a_step_that_was_left_out_and_one_that_was_added_stand_alone():
    """The others are paired as before."""
    found = diff([step("tool:a"), step("tool:b"), step("tool:c")], [step("tool:a"), step("tool:c"), step("tool:d")])
    assert [(p.node, p.before is not None, p.after is not None) for p in found.pairs] == [
        ("tool:a", True, True), ("tool:b", True, False), ("tool:c", True, True), ("tool:d", False, True),
    ]  # fmt: skip
    assert found.first == 1


def test_calls_side_by_side_are_paired_by_what_they_were_asked():
    """Whichever ended first."""
    one = [step("tool:find", "A", "1"), step("tool:find", "B", "2")]
    assert all(pair.is_same for pair in diff(one, one[::-1]).pairs)


def test_what_began_or_waited_is_not_compared():
    """A replay neither begins an effect nor waits for a person."""
    found = diff(
        [step("tool:send", state="waiting"), step("tool:send", state="begun"), step("tool:send", "ok")],
        [step("tool:send", "ok")],
    )
    assert [pair.is_same for pair in found.pairs] == [True]


def test_the_same_words_after_a_failure_are_another_end():
    """How a run ended counts as what it gave."""
    assert not diff_runs((run(output=b'"x"'), []), (run(output=b'"x"', status="failed"), [])).same_output
    assert diff_runs((run(output=b'{"a":1,"b":2}'), []), (run(output=b'{"b":2,"a":1}'), [])).same_output


_STEPS = st.lists(
    st.builds(step, st.sampled_from(["tool:a", "tool:b", "node:c"]), st.integers(0, 2), st.integers(0, 2)), max_size=8
)


@given(_STEPS, _STEPS)
def test_every_step_stands_in_the_comparison_exactly_once(before, after):
    """On its own side; a run beside itself is the same everywhere."""
    found = diff(before, after)
    assert [p.before for p in found.pairs if p.before is not None] == before
    assert sorted(map(repr, [p.after for p in found.pairs if p.after is not None])) == sorted(map(repr, after))
    assert diff(before, before).first == -1

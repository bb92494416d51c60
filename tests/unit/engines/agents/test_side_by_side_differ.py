"""Steps that went side by side are compared whatever order they ended in."""

from __future__ import annotations

from itertools import permutations

import pytest

from perdure.core.runs import RunRecord, StepRecord
from perdure.engines.agents.differing import diff_runs

RUN = RunRecord(id="run_1", kind="agent", asset="desk", version="desk@1", arm="champion", status="done", input=b"{}")


def step(kind, node, call, gave=b"1"):
    return StepRecord(run="run_1", n=0, kind=kind, state="done", node=node, call=call, output=gave)


CHATS = [step("chat", "prompt:rules", str(n)) for n in range(2)]
CALLS = [step("tool", f"tool:{name}", f"0.{n}") for n, name in enumerate(("predict", "weather", "track"))]


@pytest.mark.parametrize("order", list(permutations(CALLS)))
def test_calls_of_one_answer_may_end_in_any_order(order):
    found = diff_runs((RUN, [CHATS[0], *CALLS, CHATS[1]]), (RUN, [CHATS[0], *order, CHATS[1]]))
    assert [pair.is_same for pair in found.pairs] == [True] * 5
    assert found.first == -1


def test_nodes_side_by_side_too():
    nodes = [step("node", f"node:{name}", name) for name in ("flown", "weather", "verdict")]
    assert diff_runs((RUN, nodes), (RUN, [nodes[1], nodes[0], nodes[2]])).first == -1


def test_what_another_call_gave_and_a_new_call_are_still_told():
    other = [
        step("tool", "tool:weather", "0.1"),
        step("tool", "tool:search", "0.3"),
        step("tool", "tool:predict", "0.0", b"2"),
    ]
    found = diff_runs((RUN, [CHATS[0], *CALLS[:2], CHATS[1]]), (RUN, [CHATS[0], *other, CHATS[1]]))
    told = {pair.node: (pair.before is None, pair.differs) for pair in found.pairs if not pair.is_same}
    assert told == {"tool:predict": (False, ("output",)), "tool:search": (True, ())}

"""Replays: answered by the record up to the first difference, and never acting on the world."""

from __future__ import annotations

import asyncio
import json

import pytest
from acting import NOBODY, Hands, Scripted, Tools, gave, new_run, offered
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from perdure.assets.agent import RunLimits
from perdure.core.runs import ReplayAsked, WaitAnswer
from perdure.serve.runs.going import Prepared, ended_run
from perdure.serve.runs.protocols import Driven, Ended, Parked
from perdure.serve.runs.recorded import diverged_at
from perdure.serve.runs.replaying import UNKNOWN, ReplayParts, replay
from perdure.serve.runs.telling import run_told

SCRIPT = [[["look", {"n": 1}]], [["send", {"to": "a@b.c"}], ["look", {"n": 2}]], [["look", {"n": 1}]]]


class NoWorld:
    """Nothing is reached."""

    chat = stream = search = predict = features = child = None


def tools(look=lambda asked, context: gave({"saw": asked.arguments["n"]})):
    return Tools(
        [offered("look", cost_usd=0.01), offered("send", effect="once", approve_by="boss")],
        {"look": look, "send": lambda asked, context: gave("sent to a@b.c")},
    )


def recorded(script=SCRIPT, box=None, keeps="full"):
    """A run of the script as it was told."""
    hands = Hands(box or tools(), run=new_run(script=script), limits=RunLimits(steps=50))
    yes = WaitAnswer(actor="anna", approves=True, reason="", at_us=1)
    for _ in range(2):
        driven = Driven(
            hands.run, None, hands.journal, hands.doing, hands.tools, NOBODY, None, hands.limiter, streams=False
        )
        try:
            ended = asyncio.run(Scripted().drive(driven))
            break
        except Parked:
            hands = hands.again(**{wait.call: yes for wait in hands.journal.waits})
    run = ended_run(hands.run, hands.journal.steps, ended)
    return run_told(run, hands.journal.steps, hands.journal.waits, keeps, lambda text: text.replace("a@b.c", "[email]"))


def again(told, box=None, swaps=None, driver=None, **limits):
    parts = ReplayParts(driver or Scripted(), Prepared(None, box or tools(), RunLimits(steps=50)), NOBODY, NoWorld())
    asked = ReplayAsked(run=told.run, steps=tuple(told.steps), swaps=swaps or {}, limits=limits)
    return asyncio.run(replay(asked, parts))


@pytest.mark.parametrize("keeps", ["full", "redacted"])
def test_a_replay_of_nothing_changed_asks_nothing_and_differs_nowhere(keeps):
    told, box, driver = recorded(keeps=keeps), tools(), Scripted()
    done = again(told, box, driver=driver)
    assert (done.diverged_at, done.unknown, done.run.status) == (-1, (), "done")
    assert (driver.asked, box.calls) == ([], [])
    assert (done.run.n_tokens, done.run.cost_pusd) == (told.run.n_tokens, told.run.cost_pusd)
    assert (done.run.replay_of, done.run.arm) == (told.run.id, "replay")
    assert done.run.id != told.run.id
    assert b"[email]" in done.run.output if keeps == "redacted" else done.run.output == told.run.output


def test_what_a_swapped_version_answered_is_asked_anew_and_what_follows_where_it_differs():
    driver = Scripted()
    done = again(recorded(), swaps={"prompt:desk": "desk@2"}, driver=driver)
    assert driver.asked == [0, 1, 2]
    assert done.run.swaps == {"prompt:desk": "desk@2"}
    assert {step.version for step in done.steps if step.kind == "chat"} == {"desk@2"}
    assert done.diverged_at == -1, "its answers are the same"
    assert again(recorded(), swaps={"prompt:desk": "desk@1"}).diverged_at == -1


def test_another_result_of_a_tool_is_the_first_difference():
    box, driver = tools(), Scripted()
    done = again(recorded(), box, {"tool:look": '{"saw":"else"}'}, driver)
    assert not box.calls
    assert driver.asked == [1, 2], "the first request was the same"
    first = next(step for step in done.steps if step.kind == "tool")
    assert (done.diverged_at, json.loads(first.output)) == (first.n, {"saw": "else"})


def test_a_live_tool_that_reads_is_called_and_one_that_acts_never_is():
    box = tools(lambda asked, context: gave("now"))
    done = again(recorded(), box, {"tool:look": "live", "tool:send": "live"})
    assert [name for name, _, _ in box.calls] == ["look", "look", "look"]
    assert done.unknown == ("tool:send",)
    (sent,) = [step for step in done.steps if step.node == "tool:send"]
    assert (sent.error, sent.state) == (UNKNOWN, "failed")


def test_an_effect_that_stands_in_no_record_is_not_done_and_listed():
    told, box = recorded(), tools()
    changed = json.loads(told.run.input)
    changed["script"][1][0] = ["send", {"to": "eve@evil"}]
    done = again(replace_told(told, input=json.dumps(changed).encode()), box)
    assert done.unknown == ("tool:send",)
    assert not [name for name, _, _ in box.calls if name == "send"]


def test_a_result_may_be_asked_for_whatever_the_arguments():
    told = recorded()
    changed = json.loads(told.run.input)
    changed["script"][0][0] = ["look", {"n": 99}]
    done = again(replace_told(told, input=json.dumps(changed).encode()), swaps={"tool:look": "recorded"})
    first = next(step for step in done.steps if step.kind == "tool")
    assert json.loads(first.output) == {"saw": 1}
    assert done.diverged_at == first.n


def test_results_of_the_same_call_are_given_in_their_order():
    seen = iter("abc")
    told = recorded([[["look", {"n": 1}]]] * 3, tools(lambda asked, context: gave(next(seen))))
    done = again(told)
    assert [json.loads(step.output) for step in done.steps if step.kind == "tool"] == ["a", "b", "c"]
    assert done.diverged_at == -1


def test_a_record_without_texts_is_asked_anew_and_effects_of_it_are_unknown():
    told, box, driver = recorded(keeps="none"), tools(), Scripted()
    told = replace_told(told, input=json.dumps({"script": SCRIPT}).encode())
    done = again(told, box, driver=driver)
    assert driver.asked == [0, 1, 2]
    assert {name for name, _, _ in box.calls} == {"look"}
    assert done.unknown == ("tool:send",)


def test_other_limits_hold_instead():
    done = again(recorded(), steps=2)
    assert (done.run.status, done.run.why) == ("limited", "limit.steps")
    assert done.diverged_at == 2


def test_a_driver_that_breaks_is_a_failed_replay():
    class Breaks:
        async def drive(self, driven):
            raise ValueError("secret")

    done = again(recorded(), driver=Breaks())
    assert (done.run.status, done.run.why) == ("failed", "run.failed")
    assert "secret" not in done.run.text


def test_a_node_is_given_again_for_the_same_input_or_by_a_swap():
    node = replace(
        recorded().steps[0], kind="node", node="node:sort", input=b'{"a":1,"b":2}', output=b'"kind"', facts={}
    )
    given = []

    class Graph:
        async def drive(self, driven):
            given.append(driven.replayer.node("node:sort", b'{"b":2,"a":1}'))
            return Ended("done")

    told = recorded()
    told.steps[:] = [node]
    again(told, driver=Graph())
    again(told, driver=Graph(), swaps={"node:sort": '"other"'})
    again(told, driver=Graph(), swaps={"node:sort": "live"})
    assert [None if each is None else each.output for each in given] == [b'"kind"', b'"other"', None]


@given(st.integers(0, 5), st.randoms())
def test_a_difference_is_told_by_the_first_step_that_has_it(place, random):
    steps = [replace(step, n=n) for n, step in enumerate(step for step in recorded().steps if step.state == "done")]
    order = steps[:]
    random.shuffle(order)
    assert diverged_at(order, steps) == -1
    place %= len(steps)
    other = [replace(step, output=b'"other"') if n >= place else step for n, step in enumerate(steps)]
    assert diverged_at(order, other) == place
    assert diverged_at(order, steps[:place]) == place


def replace_told(told, **given):
    told.run = replace(told.run, **given)
    return told

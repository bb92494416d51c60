"""Calls of tools in a run: once in effect whatever dies, asked before where a person has to say yes, and within limits."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace as dataclass_replace
from datetime import timedelta

import pytest
from acting import Hands, Killed, Tools, chat_step, gave, new_run, offered
from msgspec.structs import replace

from perdure.assets.agent import RunLimits
from perdure.assets.team import Team
from perdure.core.canonical import bytes_hash
from perdure.core.clock import machine_us
from perdure.core.errors import LostLease, StoreFull
from perdure.core.runs import WaitAnswer
from perdure.core.usage import PICO
from perdure.serve.retrieval.callers import Caller
from perdure.serve.runs.doing import key_of
from perdure.serve.runs.protocols import LimitHit, Parked, ToolAsked


def said(approves=True, reason="", value=b"", actor="anna"):
    return WaitAnswer(actor=actor, approves=approves, reason=reason, at_us=machine_us(), value=value)


def tools(name="send", does=None, knows=None, **terms):
    counted = []

    def act(asked, context):
        counted.append((asked.arguments, context.key))
        return gave("ok") if does is None else does(asked, context)

    found = Tools([offered(name, **terms)], {name: act}, {name: knows} if knows else {})
    found.counted = counted
    return found


def dies(asked, context):
    raise Killed


def test_a_tool_that_reads_leaves_one_entry_with_arguments_and_result():
    hands = Hands(tools("look", effect="none"))
    assert hands.do("look", {"q": "x"}).text == '"ok"'
    (step,) = hands.journal.steps
    assert (step.state, step.node, step.call, step.key) == ("done", "tool:look", "0.0", "")
    assert (json.loads(step.input), step.output, step.text) == ({"q": "x"}, b'"ok"', "")


def test_a_call_that_is_over_is_answered_from_the_journal():
    hands = Hands(tools(does=lambda asked, context: gave({"id": 7}, versions={"index:h": "h@1"}, facts={"hits": 3})))
    first = hands.do("send")
    again = hands.again().do("send")
    assert (again.value, again.text, dict(again.versions), dict(again.facts)) == (
        first.value, first.text, {"index:h": "h@1"}, {"hits": 3},
    )  # fmt: skip
    assert len(hands.tools.counted) == 1


def test_what_a_model_read_is_given_again_where_it_is_not_the_value_itself():
    fenced = gave([1])
    hands = Hands(tools(does=lambda asked, context: type(fenced)(b"[1]", "<data>[1]</data>")))
    assert hands.do("send").text == hands.again().do("send").text == "<data>[1]</data>"


@pytest.mark.parametrize("effect", ["keyed", "once"])
def test_an_effect_is_written_down_before_it_is_done(effect):
    hands = Hands(tools(does=lambda asked, context: gave([s.state for s in hands.journal.steps]), effect=effect))
    assert json.loads(hands.do("send").value) == ["begun"]
    assert hands.states() == ["begun", "done"]
    assert {step.key for step in hands.journal.steps} == {key_of(hands.run, "0.0")}


def test_a_keyed_effect_that_was_cut_goes_out_again_under_its_key():
    box = tools(does=dies, effect="keyed")
    hands = Hands(box)
    with pytest.raises(Killed):
        hands.do("send", {"to": "a"})
    box.does["send"] = lambda asked, context: gave(context.key)
    after = hands.again()
    assert json.loads(after.do("send", {"to": "a"}).value) == box.counted[0][1] == key_of(hands.run, "0.0")
    assert after.states() == ["begun", "done"]


def test_an_effect_without_a_key_is_not_done_again_where_its_tool_knows_that_it_happened():
    hands = Hands(tools(does=dies, knows=lambda asked, context: gave("sent"), effect="once"))
    with pytest.raises(Killed):
        hands.do("send")
    after = hands.again()
    assert after.do("send").text == '"sent"'
    assert len(hands.tools.counted) == 1
    assert after.journal.steps[-1].facts["found_out"] is True


@pytest.mark.parametrize(("happened", "times"), [(True, 1), (False, 2)])
def test_where_nobody_knows_a_person_says_whether_it_happened(happened, times):
    box = tools(does=dies, effect="once")
    hands = Hands(box)
    with pytest.raises(Killed):
        hands.do("send")
    after = hands.again()
    with pytest.raises(Parked):
        after.do("send")
    (wait,) = after.journal.waits
    assert (wait.question, wait.expires_us) == ("happened", 0)
    assert after.states() == ["begun", "unknown"]
    with pytest.raises(Parked):
        after.again().do("send")
    counted = box.counted
    box.does["send"] = lambda asked, context: (counted.append(1), gave("now"))[1]
    told = after.again(**{"0.0": said(happened, value=b'"then"' if happened else b"")})
    assert told.do("send").text == ('"then"' if happened else '"now"')
    assert len(counted) == times


def test_a_second_crash_of_the_same_effect_is_asked_about_anew():
    hands = Hands(tools(does=dies, effect="once"))
    for number in (1, 2):
        with pytest.raises(Killed):
            hands.do("send")
        hands = hands.again()
        with pytest.raises(Parked):
            hands.do("send")
        assert len(hands.journal.waits) == number
        hands = hands.again(**{"0.0": said(False)})
    assert len(hands.tools.counted) == 2


@pytest.mark.parametrize("effect", ["none", "keyed"])
def test_a_failure_for_now_is_tried_again_within_its_tries(effect, monkeypatch):
    monkeypatch.setattr("perdure.serve.runs.doing._PAUSE_S", 0.0)
    hands = Hands(tools(does=lambda asked, context: gave(None, "tool.failed", again=True), effect=effect, tries=3))
    assert hands.do("send").error == "tool.failed"
    assert len(hands.tools.counted) == 3
    assert len({key for _, key in hands.tools.counted}) == 1
    assert hands.journal.steps[-1].facts["tries"] == 3


def test_a_failure_for_good_is_not_tried_again():
    hands = Hands(tools(does=lambda asked, context: gave("no such parcel", "tool.failed"), tries=3))
    assert hands.do("send").error == "tool.failed"
    assert len(hands.tools.counted) == 1


def test_an_effect_without_a_key_is_never_tried_again_and_its_end_is_asked_for():
    hands = Hands(tools(does=lambda asked, context: gave(None, "tool.failed", again=True), effect="once", tries=5))
    with pytest.raises(Parked):
        hands.do("send")
    assert len(hands.tools.counted) == 1
    assert hands.states() == ["begun", "unknown"]


def test_an_effect_that_certainly_was_not_done_fails_as_it_is():
    failed = gave(None, "tool.failed", again=True, facts={"undone": True})
    hands = Hands(tools(does=lambda asked, context: failed, effect="once"))
    assert hands.do("send").error == "tool.failed"


def test_the_same_call_after_a_keyed_one_that_may_have_happened_goes_out_under_the_same_key(monkeypatch):
    monkeypatch.setattr("perdure.serve.runs.doing._PAUSE_S", 0.0)
    answers = [gave(None, "tool.failed", again=True), gave("ok"), gave("ok")]
    hands = Hands(tools(does=lambda asked, context: answers.pop(0), effect="keyed", tries=1))
    for call in ("0.0", "1.0", "2.0"):
        hands.do("send", {"to": "a"}, call)
    first, second, third = [key for _, key in hands.tools.counted]
    assert first == second != third


def test_a_tool_that_hangs_is_ended_at_its_time_out():
    async def hangs(asked, context):
        await asyncio.sleep(60)

    hands = Hands(tools(does=hangs, tries=1, timeout=timedelta(milliseconds=20)))
    found = hands.do("send")
    assert (found.error, found.text) == ("tool.timed_out", "send gave nothing within 0.02 s.")
    assert hands.states() == ["failed"]


def test_a_toolbox_that_breaks_is_a_failure_without_a_stack():
    def breaks(asked, context):
        raise ValueError("secret")

    found = Hands(tools(does=breaks, tries=1)).do("send")
    assert (found.error, found.text) == ("tool.failed", "The tool failed: ValueError")


def test_a_tool_that_is_not_there_fails_and_is_written_down():
    hands = Hands(tools())
    assert hands.do("sned").error == "tool.unknown"
    assert hands.journal.steps[0].node == "tool:sned"


def test_an_approval_parks_the_run_and_a_yes_lets_it_go_on():
    hands = Hands(tools(effect="once", approve_by="on_call"))
    with pytest.raises(Parked):
        hands.do("send", {"to": "a@b.c"})
    assert hands.states() == ["waiting"]
    (wait,) = hands.journal.waits
    assert (wait.question, wait.role, wait.tool, wait.call) == ("approve", "on_call", "send", "0.0")
    assert wait.text == "desk asks to call send:\n  to: a@b.c"
    after = hands.again(**{"0.0": said()})
    assert after.do("send", {"to": "a@b.c"}).text == '"ok"'
    assert after.states() == ["waiting", "begun", "done"]
    assert after.journal.steps[-1].facts["answered_by"] == "anna"


def test_a_question_that_is_open_is_not_asked_twice():
    hands = Hands(tools(approve_by="on_call"))
    for _ in range(2):
        with pytest.raises(Parked):
            hands.do("send")
    assert len(hands.journal.waits) == len(hands.journal.steps) == 1


def test_a_no_is_read_by_the_model_with_its_reason():
    hands = Hands(tools(approve_by="on_call"))
    with pytest.raises(Parked):
        hands.do("send")
    after = hands.again(**{"0.0": said(False, "too early")})
    found = after.do("send")
    assert (found.error, found.text) == ("tool.refused", "A person said no to send: too early")
    assert after.states() == ["waiting", "refused"]
    assert not after.tools.counted


def test_arguments_that_a_person_changed_are_used_also_after_a_crash():
    box = tools(does=dies, effect="keyed", approve_by="on_call")
    hands = Hands(box)
    with pytest.raises(Parked):
        hands.do("send", {"to": "a"})
    hands = hands.again(**{"0.0": said(value=b'{"to": "b"}')})
    with pytest.raises(Killed):
        hands.do("send", {"to": "a"})
    box.does["send"] = lambda asked, context: gave(asked.arguments)
    assert json.loads(hands.again().do("send", {"to": "a"}).value) == {"to": "b"}


def test_a_question_whose_time_is_over_counts_as_no():
    hands = Hands(tools(approve_by="on_call"))
    with pytest.raises(Parked):
        hands.do("send")
    hands.journal.waits = [replace(each, expires_us=1) for each in hands.journal.waits]
    assert hands.again().do("send").text == "Nobody answered in time whether send may be called."


def test_calls_of_one_answer_are_all_asked_or_over_before_the_run_parks():
    async def slow(asked, context):
        await asyncio.sleep(0.02)
        return gave("slow")

    box = Tools([offered("send", approve_by="on_call"), offered("look")], {"look": slow})
    hands = Hands(box)

    async def first_to_park():
        asked = [ToolAsked("send", {"n": 1}, "0.0"), ToolAsked("look", {}, "0.1"), ToolAsked("send", {"n": 2}, "0.2")]
        async with asyncio.TaskGroup() as group:
            for each in asked:
                group.create_task(hands.doing.do(each))

    with pytest.raises(ExceptionGroup) as ended:
        asyncio.run(first_to_park())
    assert all(isinstance(each, Parked) for each in ended.value.exceptions)
    assert [wait.call for wait in hands.journal.waits] == ["0.0", "0.2"]
    assert hands.states("0.1") == ["done"]


def test_only_keys_of_its_teams_may_have_a_tool_called():
    box = tools(teams=("ops",))
    for team, error in ((None, "tool.refused"), (Team("sales"), "tool.refused"), (Team("ops"), "")):
        hands = Hands(box, caller=Caller("k", team))
        assert hands.do("send").error == error
        assert hands.states() == ["refused" if error else "done"]
    assert len(box.counted) == 1


def test_a_limit_of_steps_refuses_the_next_call_and_again_after_a_crash():
    hands = Hands(tools("look"), limits=RunLimits(steps=2))
    hands.do("look", {"n": 1}, "0.0")
    hands.do("look", {"n": 2}, "1.0")
    for each in (hands, hands.again()):
        with pytest.raises(LimitHit, match="2 steps of 2") as hit:
            each.do("look", {"n": 3}, "2.0")
        assert hit.value.why == "limit.steps"
        assert each.states("2.0") == ["refused"]
    assert len(hands.tools.counted) == 2


def test_calls_side_by_side_stay_within_the_steps():
    async def slow(asked, context):
        await asyncio.sleep(0.01)
        return gave("ok")

    hands = Hands(Tools([offered("look")], {"look": slow}), limits=RunLimits(steps=3))

    async def all_at_once():
        asked = [hands.doing.do(ToolAsked("look", {"n": n}, f"0.{n}")) for n in range(8)]
        return await asyncio.gather(*asked, return_exceptions=True)

    results = asyncio.run(all_at_once())
    assert [isinstance(each, LimitHit) for each in results] == [False] * 3 + [True] * 5


def test_a_tool_has_its_own_most_calls():
    hands = Hands(tools(calls=1))
    hands.do("send", {"n": 1})
    with pytest.raises(LimitHit) as hit:
        hands.do("send", {"n": 2}, "1.0")
    assert hit.value.why == "limit.calls"


def test_a_call_that_gave_nothing_new_too_often_is_a_loop():
    hands = Hands(tools("look"), limits=RunLimits(same_calls=2))
    for n in range(3):
        hands.do("look", {"a": 1, "b": 2}, f"{n}.0")
    with pytest.raises(LimitHit) as hit:
        hands.do("look", {"b": 2, "a": 1}, "3.0")
    assert hit.value.why == "limit.loop"


def test_money_of_tools_and_tokens_of_models_end_a_run():
    hands = Hands(tools(cost_usd=0.6), limits=RunLimits(usd=1.0))
    hands.do("send", {"n": 1}, "0.0")
    hands.do("send", {"n": 2}, "1.0")
    assert hands.limiter.spent().pusd == 1.2 * PICO
    with pytest.raises(LimitHit) as hit:
        hands.do("send", {"n": 3}, "2.0")
    assert hit.value.why == "limit.usd"
    hands = Hands(tools(), limits=RunLimits(tokens=50), steps=[chat_step("c", tokens=60)])
    with pytest.raises(LimitHit) as hit:
        hands.do("send")
    assert hit.value.why == "limit.tokens"


def test_a_tool_is_not_let_run_past_the_wall_of_its_run():
    async def hangs(asked, context):
        await asyncio.sleep(60)

    hands = Hands(tools(does=hangs), limits=RunLimits(wall=timedelta(milliseconds=30)))
    assert hands.do("send").error == "tool.timed_out"
    with pytest.raises(LimitHit) as hit:
        hands.do("send", {}, "1.0")
    assert hit.value.why == "limit.wall"


def test_time_of_earlier_drives_counts_and_days_of_waiting_do_not():
    hour_us = 3_600_000_000
    steps = [chat_step("a", began_us=1, took_us=2_000_000), chat_step("b", began_us=hour_us, took_us=1_000_000)]
    left_s = Hands(tools(), limits=RunLimits(wall=timedelta(seconds=5)), steps=steps).limiter.left_s()
    assert 1.5 < left_s <= 2.0


def test_a_cancelled_effect_is_left_as_begun():
    async def hangs(asked, context):
        await asyncio.sleep(60)

    hands = Hands(tools(does=hangs, effect="once"))

    async def cancelled():
        task = asyncio.ensure_future(hands.doing.do(ToolAsked("send", {}, "0.0")))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert hands.states() == ["begun"]


def test_a_run_that_another_worker_drives_calls_nothing():
    hands = Hands(tools(effect="once"))

    class Lost:
        async def keep(self, journal, entry):
            raise LostLease("The run is driven by another worker now.")

    hands.journal._keeps = Lost()
    with pytest.raises(LostLease):
        hands.do("send")
    assert not hands.tools.counted


def test_arguments_that_are_no_json_of_ours_are_written_down_all_the_same():
    hands = Hands(tools("look"))
    hands.do("look", {"x": float("nan"), "y": "\ud800"})
    assert bytes_hash(hands.journal.steps[0].input)


def test_a_run_below_is_never_asked_about_for_it_is_begun_once_anyway():
    box = Tools([offered("ask", uses="agent:helper", effect="once")], {"ask": dies})
    hands = Hands(box, run=new_run())
    with pytest.raises(Killed):
        hands.do("ask")
    box.does["ask"] = lambda asked, context: gave("ok")
    assert hands.again().do("ask").text == '"ok"'


def test_arguments_that_do_not_fit_are_told_before_a_person_is_asked_or_anything_is_begun():
    schema = {"type": "object", "properties": {"to": {"type": "string"}}, "required": ["to"]}
    for terms in ({"approve_by": "boss"}, {"effect": "once"}):
        box = tools(**terms)
        box.offered = [dataclass_replace(box.offered[0], schema=schema)]
        hands = Hands(box)
        found = hands.do("send", {"to": 7})
        assert found.error == "tool.bad_arguments"
        assert "to: " in found.text
        assert (hands.states(), hands.journal.waits, box.counted) == (["failed"], [], [])


def test_a_tool_knows_what_its_run_read_and_whether_a_person_said_yes():
    seen = []
    box = tools(does=lambda asked, context: (seen.append((len(context.steps), context.approved)), gave("ok"))[1])
    hands = Hands(box)
    hands.do("send", {"n": 1}, "0.0")
    box.offered = [offered("send", approve_by="boss", effect="keyed")]
    hands = hands.again()
    with pytest.raises(Parked):
        hands.do("send", {"n": 2}, "1.0")
    hands.again(**{"1.0": said()}).do("send", {"n": 2}, "1.0")
    assert seen == [(0, False), (3, True)]


def unknown_end(asked, context):
    """It failed for now, and nobody knows whether it happened."""
    return gave(None, "tool.timed_out", again=True)


def test_of_two_same_calls_side_by_side_one_alone_goes_out_under_the_open_key():
    """Under one key the other side would do one of two things that were asked for."""
    box = tools(effect="keyed", tries=1, does=unknown_end)
    hands = Hands(box)
    first = key_of(hands.run, "0.0")
    hands.do("send", {"to": "a"})

    async def both():
        asked = [ToolAsked("send", {"to": "a"}, call) for call in ("1.0", "1.1")]
        return await asyncio.gather(*(hands.doing.do(each) for each in asked))

    async def slowly(asked, context):
        await asyncio.sleep(0.01)
        return gave(context.key)

    box.does["send"] = slowly
    keys = [json.loads(each.value) for each in asyncio.run(both())]
    assert keys == [first, key_of(hands.run, "1.1")]
    hands.do("send", {"to": "a"}, "2.0")
    assert box.calls[-1][2] == key_of(hands.run, "2.0"), "what was open is known now"


def test_a_key_that_a_call_went_out_under_is_no_other_calls_in_another_process_either():
    box = tools(effect="keyed", tries=1, does=unknown_end)
    hands = Hands(box)
    hands.do("send", {"to": "a"})
    box.does["send"] = dies
    with pytest.raises(Killed):
        hands.do("send", {"to": "a"}, "1.0")
    box.does["send"] = lambda asked, context: gave(context.key)
    after = hands.again()
    assert json.loads(after.do("send", {"to": "a"}, "1.1").value) == key_of(hands.run, "1.1")
    assert json.loads(after.do("send", {"to": "a"}, "1.0").value) == key_of(hands.run, "0.0")


def test_a_call_that_was_refused_leaves_the_key_open():
    """It did nothing: the next one like it must still do nothing more than the first."""
    box = tools(effect="keyed", tries=1, does=unknown_end, approve_by="desk")
    hands = Hands(box)
    for call in ("0.0", "1.0"):
        with pytest.raises(Parked):
            hands.do("send", {"to": "a"}, call)
        hands = hands.again(**{call: said(call == "0.0")})
        hands.do("send", {"to": "a"}, call)
    with pytest.raises(Parked):
        hands.do("send", {"to": "a"}, "2.0")
    hands = hands.again(**{"2.0": said()})
    hands.do("send", {"to": "a"}, "2.0")
    assert {key for _, _, key in box.calls} == {key_of(hands.run, "0.0")}


def test_a_no_to_whether_it_happened_is_not_asked_again_where_no_time_is_left():
    """It would be begun, cut at once, and asked about for ever."""
    box = tools(does=dies, effect="once")
    hands = Hands(box, limits=RunLimits(wall=timedelta(seconds=5)))
    with pytest.raises(Killed):
        hands.do("send")
    hands = hands.again()
    with pytest.raises(Parked):
        hands.do("send")
    hands.journal.steps[0] = replace(hands.journal.steps[0], took_us=6_000_000)
    hands = hands.again(**{"0.0": said(False)})
    with pytest.raises(LimitHit) as hit:
        hands.do("send")
    assert hit.value.why == "limit.wall"
    assert (hands.states(), len(box.counted)) == (["begun", "unknown", "refused"], 1)


@pytest.mark.parametrize("effect", ["none", "keyed"])
def test_a_run_below_that_could_not_be_written_down_is_no_failure_of_its_tool(effect):
    """The run above goes on when there is room, as it does when its own journal cannot be written."""

    def full(asked, context):
        raise StoreFull("No room is left.")

    hands = Hands(Tools([offered("ask", "agent:helper", effect=effect), offered("look")], {"ask": full, "look": full}))
    with pytest.raises(StoreFull):
        hands.do("ask")
    assert "failed" not in hands.states()
    assert hands.do("look", call="0.1").error == "tool.failed", "a store that a tool reads is its own affair"

"""Runs under attack: drives that kill their process, entries that cannot be written, stops and cancels at the worst instant."""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import replace as replace_parts
from datetime import timedelta

import pytest
from acting import Scripted, Tools, chat_step, gave, new_run, offered
from msgspec.structs import replace
from processes import run, scripted, until, yes

from perdure.assets.agent import RunLimits
from perdure.core.clock import machine_us
from perdure.core.errors import LostLease, NotReady, StoreFull
from perdure.serve.runs.going import Going
from perdure.serve.runs.journaling import RunJournal
from perdure.serve.runs.protocols import Ended, ToolGave
from perdure.stores.runs.protocols import Progress, Wanted

SECOND = 1_000_000


def died(desk, run_id, times):
    """As many processes claim a run and die before they write anything."""
    for n in range(times):
        desk.store.claim(f"dead {n}", machine_us() + SECOND, 1, ["desk", "helper"], 1)
    assert desk.store.get(run_id).run.status == "running"


def test_a_run_that_takes_every_process_down_is_ended_and_says_so(desk):
    desk.store.begin(scripted(["look", {"to": "a@b.c"}]), "dead", 1)
    died(desk, "run_1", 4)

    run(desk.over("run_1"))
    ended = desk.store.get("run_1").run
    assert (ended.status, ended.why) == ("failed", "run.poisoned")
    assert not desk.tools.calls
    assert [event.run.why for event in desk.log.told] == ["run.poisoned"]


def test_a_run_that_got_on_is_not_poisoned_however_often_its_processes_died(desk):
    _, claim = desk.store.begin(scripted(["look", {}]), "dead", 1)
    died(desk, "run_1", 3)
    (claim,) = desk.store.claim("slow", machine_us(), 1, ["desk"], 1)
    desk.store.write([Progress(claim, [replace(chat_step("chat.0"), run="run_1")])])
    died(desk, "run_1", 3)

    run(desk.over("run_1"))
    assert desk.store.get("run_1").run.status == "done"


def test_suspects_are_driven_one_at_a_time_so_that_none_dies_of_another(desk):
    desk.crowd(0.02)
    for n in range(4):
        desk.store.begin(scripted(["look", {}], id_=f"run_{n}"), "dead", 1)
    for n in range(2):
        desk.store.claim(f"dead {n}", machine_us() + SECOND, 1, ["desk"], 10)
    # They die amid their first answer: no entry is written.
    desk.driver = Scripted(chat_s=0.02)
    chatting, both = set(), []
    chat = desk.driver._chat

    async def told(driven, number, seen):
        chatting.add(driven.run.id)
        both.append(len(chatting))
        await chat(driven, number, seen)
        chatting.discard(driven.run.id)

    desk.driver._chat = told

    run(desk.over(*(f"run_{n}" for n in range(4))))
    assert max(both) == 1
    assert {desk.store.get(f"run_{n}").run.status for n in range(4)} == {"done"}


def test_a_stop_that_gives_its_runs_back_is_no_death(desk):
    async def look(asked, context):
        await asyncio.sleep(60)

    desk.tools.does["look"] = look

    async def drives():
        runtime = desk.process()
        await runtime.begin(scripted(["look", {}]))
        await until(lambda: desk.tools.calls)
        await runtime.stop()
        for n in range(7):
            runtime = desk.process()
            runtime.start()
            await until(lambda n=n: len(desk.tools.calls) == n + 2)
            await runtime.stop()

    run(drives())
    (claim,) = desk.store.claim("next", machine_us(), 1, ["desk"], 1)
    assert claim.deaths == 0


def test_runs_that_had_not_come_to_their_begin_are_given_back_by_a_stop_too(desk):
    async def drives():
        runtime = desk.process()
        begun = [asyncio.ensure_future(runtime.begin(scripted(["look", {}], id_=f"run_{n}"))) for n in range(8)]
        await asyncio.sleep(0)
        stopping = asyncio.ensure_future(runtime.stop())
        await asyncio.gather(*begun, return_exceptions=True)
        await stopping

    run(drives())
    left = [each.id for each in desk.store.list(Wanted(statuses=("running",)))]
    assert left
    assert len(desk.store.claim("next", machine_us(), 1, ["desk"], 20)) == len(left)


def test_a_run_that_cannot_be_read_does_not_keep_the_others_from_being_taken_over(desk):
    for n in range(3):
        desk.store.begin(scripted(["look", {}], id_=f"run_{n}"), "dead", 1)
    desk.store._writer.execute(
        "UPDATE records SET record = x'93c1' WHERE run = (SELECT seq FROM runs WHERE id = 'run_0')"
    )

    run(desk.over("run_1", "run_2"))
    assert [desk.store.get(f"run_{n}").run.status for n in (1, 2)] == ["done", "done"]


@pytest.mark.parametrize("state", ["done", "failed"])
def test_words_that_no_disk_takes_are_written_all_the_same_and_no_other_run_feels_it(desk, state):
    async def look(asked, context):
        await asyncio.sleep(0.01)
        if context.run.id == "run_fine":
            return gave("ok")
        return ToolGave(b'"x"', "caf\udce9", "tool.failed" if state == "failed" else "", facts={"said": "\udce9"})

    desk.tools.does["look"] = look

    async def drives():
        runtime = desk.process()
        for name in ("bad", "fine"):
            await runtime.begin(scripted(["look", {}], id_=f"run_{name}"))
        done = [await runtime.wait(f"run_{name}", 5) for name in ("bad", "fine")]
        await runtime.stop()
        return done

    assert [each.status for each in run(drives())] == ["done", "done"]
    assert len(desk.log.told) == 2
    assert "caf?" in desk.store.get("run_bad").steps[-1].text


def test_an_entry_that_cannot_be_written_fails_its_own_run_alone(desk):
    class Odd(Scripted):
        async def drive(self, driven):
            if driven.run.id == "run_bad":
                await driven.journal.write(chat_step("0", facts={"odd": object()}))
            return await super().drive(driven)

    desk.driver = Odd()

    async def drives():
        runtime = desk.process()
        for name in ("bad", "fine"):
            await runtime.begin(scripted(["look", {}], id_=f"run_{name}"))
        done = [await runtime.wait(f"run_{name}", 5) for name in ("bad", "fine")]
        await runtime.stop()
        return done

    assert [(each.status, each.why) for each in run(drives())] == [("failed", "run.failed"), ("done", "")]


class Slow:
    """A store whose writes take as long as a test wants."""

    def __init__(self, store):
        self.store = store
        self.gate = threading.Event()
        self.gate.set()
        self.is_held = threading.Event()

    def __getattr__(self, name):
        return getattr(self.store, name)

    def write(self, progress):
        if not self.gate.is_set():
            self.is_held.set()
            self.gate.wait(5)
        return self.store.write(progress)


@pytest.mark.parametrize("how", ["cancel", "stop"])
def test_an_effect_whose_end_is_on_its_way_to_the_disk_is_known_whatever_ends_the_run(desk, how):
    slow = desk.store = Slow(desk.store)

    def send(asked, context):
        slow.gate.clear()
        return gave("sent")

    desk.tools = Tools([offered("send", effect="once")], {"send": send})

    async def drives():
        runtime = desk.process()
        await runtime.begin(scripted(["send", {}]))
        await until(slow.is_held.is_set)
        ends = asyncio.ensure_future(runtime.cancel("run_1") if how == "cancel" else runtime.stop())
        await asyncio.sleep(0.05)
        slow.gate.set()
        await ends
        await runtime.stop()

    run(drives())
    told = desk.store.get("run_1")
    assert [step.state for step in told.steps if step.kind == "tool"] == ["begun", "done"]
    assert told.run.status == ("cancelled" if how == "cancel" else "running")
    if how == "stop":
        assert desk.store.claim("next", machine_us(), 1, ["desk"], 1)


def test_a_run_whose_record_has_no_room_is_not_over_before_it_has(desk, monkeypatch):
    monkeypatch.setattr("perdure.serve.runs.going._PAUSE_S", 0.05)
    room = []

    def append(event):
        if room:
            desk.log.told.append(event)
        return bool(room)

    desk.log.append = append

    async def drives():
        runtime = desk.process()
        runtime.start()
        await runtime.begin(scripted(["look", {}]))
        await asyncio.sleep(0.3)
        before = desk.store.get("run_1").run.status
        room.append(True)
        await until(lambda: desk.store.get("run_1").run.ended)
        await runtime.stop()
        return before

    assert run(drives()) == "running"
    assert [event.run.status for event in desk.log.told] == ["done"]
    assert len(desk.tools.calls) == 1


def test_a_run_that_goes_on_as_soon_as_it_parked_is_not_left_claimed_and_undriven(desk):
    """Its claim may be taken before its drive is forgotten."""
    desk.tools = Tools([offered("send", effect="once", approve_by="boss")], {"send": lambda a, c: gave("sent")})

    async def drives():
        runtime = desk.process()
        await runtime.begin(scripted(["send", {}]))
        await runtime.wait("run_1", 5)
        (wait,) = desk.store.get("run_1").waits
        runtime._going["run_1"] = Going(desk.store.get("run_1").run, RunJournal("run_1", None))
        await runtime.answer(wait.id, yes())
        await runtime._resume_once()
        del runtime._going["run_1"]
        runtime.start()
        async with asyncio.timeout(2):
            await until(lambda: desk.store.get("run_1").run.ended)
        await runtime.stop()

    run(drives())
    assert desk.store.get("run_1").run.status == "done"


def test_nothing_is_begun_below_a_run_that_is_over(desk):
    _, claim = desk.store.begin(scripted(), "one", machine_us() + SECOND)
    over = desk.store.get("run_1").run
    desk.store.write([Progress(claim, run=replace(over, status="cancelled", ended_us=1))])
    with pytest.raises(LostLease):
        desk.store.begin(scripted(id_="run_2", parent="run_1"), "one", 1)


def test_a_drive_that_does_not_let_go_is_called_off_without_it(desk, monkeypatch):
    monkeypatch.setattr("perdure.serve.runs.running._STOP_S", 0.1)

    class Stubborn:
        async def drive(self, driven):
            while True:
                try:
                    await asyncio.sleep(2)
                    return Ended("done")
                except asyncio.CancelledError:
                    continue

    desk.driver = Stubborn()

    async def drives():
        runtime = desk.process()
        await runtime.begin(scripted())
        await asyncio.sleep(0.05)
        async with asyncio.timeout(1.5):
            ended = await runtime.cancel("run_1")
        await asyncio.sleep(2.2)
        await runtime.stop()
        return ended

    assert run(drives()).status == "cancelled"
    assert desk.store.get("run_1").run.status == "cancelled"


@pytest.mark.parametrize("where", ["tool", "drive"])
def test_a_cancellation_that_nobody_asked_for_is_a_failure_and_not_a_riddle(desk, where):
    async def look(asked, context):
        raise asyncio.CancelledError

    class Odd:
        async def drive(self, driven):
            raise asyncio.CancelledError

    desk.tools.does["look"] = look
    if where == "drive":
        desk.driver = Odd()

    done = run(desk.driven(scripted(["look", {}])))
    if where == "tool":
        assert (done.status, json.loads(done.output)["0.0"][1]) == ("done", "tool.failed")
    else:
        assert (done.status, done.why) == ("failed", "run.failed")


def test_arguments_that_a_person_broke_are_told_to_the_model(desk):
    desk.tools = Tools([offered("send", effect="once", approve_by="boss")], {"send": lambda a, c: gave(a.arguments)})

    async def drives():
        runtime = desk.process()
        runtime.start()
        await runtime.begin(scripted(["send", {}]))
        await runtime.wait("run_1", 5)
        (wait,) = desk.store.get("run_1").waits
        await runtime.answer(wait.id, yes(value=b"{broken"))
        await until(lambda: desk.store.get("run_1").run.ended)
        await runtime.stop()

    run(drives())
    assert desk.store.get("run_1").run.status == "done"


@pytest.mark.parametrize("keeps", ["redacted", "full", "none"])
def test_texts_of_a_run_that_is_over_are_kept_in_the_store_as_its_agent_keeps_them(desk, keeps):
    desk.keeps = keeps
    desk.tools = Tools(
        [offered("look"), offered("send", approve_by="boss")],
        {name: lambda a, c: gave(a.arguments) for name in ("look", "send")},
    )

    async def drives():
        runtime = desk.process()
        runtime.start()
        await runtime.begin(scripted(["look", {"to": "a@b.c"}], ["send", {"to": "a@b.c"}]))
        await until(lambda: desk.store.get("run_1").run.status == "waiting")
        (wait,) = desk.store.get("run_1").waits
        assert b"a@b.c" in wait.arguments + desk.store.get("run_1").steps[1].input
        await runtime.answer(wait.id, yes("For a@b.c."))
        await until(lambda: desk.store.get("run_1").run.ended)
        await runtime.stop()

    run(drives())
    told = desk.store.get("run_1")
    texts = b"".join(step.input + step.output + step.text.encode() for step in told.steps)
    (wait,) = told.waits
    texts += wait.arguments + wait.text.encode() + wait.answer.reason.encode()
    assert (b"a@b.c" in texts) == (keeps == "full")
    assert (b"[email]" in texts) == (keeps == "redacted")
    assert b"a@b.c" in told.run.output
    assert [step.state for step in told.steps] == [step.state for step in desk.log.told[0].steps]


def test_all_runs_below_one_that_is_called_off_are(desk, monkeypatch):
    monkeypatch.setattr("perdure.serve.runs.running._MOST_BELOW", 2)
    desk.store.begin(scripted(), "elsewhere", machine_us() + 60 * SECOND)
    for n in range(2, 7):
        desk.store.begin(scripted(id_=f"run_{n}", parent="run_1"), "elsewhere", machine_us() + 60 * SECOND)

    async def drives():
        runtime = desk.process()
        await runtime.cancel("run_1")
        await runtime.stop()

    run(drives())
    assert {desk.store.get(f"run_{n}").run.status for n in range(1, 7)} == {"cancelled"}


def test_a_store_without_room_is_told_to_who_calls_a_run_off(desk, monkeypatch):
    desk.store.begin(scripted(), "elsewhere", machine_us() + 60 * SECOND)

    def full(progress):
        raise StoreFull("full")

    monkeypatch.setattr(desk.store, "write", full)

    async def drives():
        runtime = desk.process()
        with pytest.raises(StoreFull):
            await runtime.cancel("run_1")
        await runtime.stop()

    run(drives())


def test_a_run_whose_texts_cannot_be_masked_is_over_and_told_without_them(desk):
    parts = desk.process().parts

    def mask(text):
        raise RuntimeError("no mask today")

    async def drives():
        runtime = desk.process()
        runtime.parts = replace_parts(parts, mask=mask)
        await runtime.begin(scripted(["look", {"to": "a@b.c"}]))
        done = await runtime.wait("run_1", 5)
        await runtime.stop()
        return done

    assert run(drives()).status == "done"
    (told,) = desk.log.told
    assert {step.facts["kept"] for step in told.steps} == {"none"}
    assert b"a@b.c" not in b"".join(step.input + step.output for step in (*told.steps, *desk.store.get("run_1").steps))


def helper_of(desk):
    """A tool that begins a run below."""

    async def ask(asked, context):
        below = await desk.child("agent", "helper", asked.arguments, context.run, asked.call)
        return gave(below.status)

    return ask


async def begun_above(desk, runtime, *script, **given):
    """A run whose helper asks a person, and the helper's run."""
    desk.tools = Tools(
        [
            offered("ask", uses="agent:helper"),
            offered("send", effect="once", approve_by="boss"),
            offered("look", calls=1),
        ],
        {"ask": helper_of(desk), "send": lambda a, c: gave("sent"), "look": lambda a, c: gave("x")},
    )
    await runtime.begin(new_run("run_1", script, **given))
    await until(lambda: desk.store.list(Wanted(parent="run_1")))
    (below,) = desk.store.list(Wanted(parent="run_1"))
    return below


def test_a_run_that_ends_while_one_below_it_waits_for_a_person_takes_that_with_it(desk):
    """Else a yes would do something for a run that is over."""

    async def drives():
        runtime = desk.process()
        runtime.start()
        script = [[["look", {}], ["look", {}], ["ask", {"script": [[["send", {}]]]}]]]
        below = await begun_above(desk, runtime, *script)
        done = await runtime.wait("run_1", 5)
        await until(lambda: desk.store.get(below.id).run.ended)
        await runtime.stop()
        return done, desk.store.get(below.id).run

    above, below = run(drives())
    assert (above.status, above.why) == ("limited", "limit.calls")
    assert below.status == "cancelled"


def test_a_run_below_that_goes_on_alone_is_held_to_the_limits_of_the_run_above(desk):
    """The run above waits for it, in no process."""
    desk.limits = RunLimits(tokens=25)

    async def drives():
        runtime = desk.process()
        runtime.start()
        chats = [[["send", {}]], *([] for _ in range(6))]
        below = await begun_above(desk, runtime, [["ask", {"script": chats}]])
        await until(lambda: desk.store.get("run_1").run.status == "waiting")
        (wait,) = desk.store.get(below.id).waits
        await runtime.answer(wait.id, yes())
        await until(lambda: desk.store.get("run_1").run.ended)
        await runtime.stop()
        return desk.store.get(below.id).run

    below = run(drives())
    assert (below.status, below.why) == ("limited", "limit.tokens")
    assert below.n_tokens <= 20


def test_a_process_that_stops_is_no_failure_of_a_run_that_begins_one_below_it(desk):
    """What is refused for the stop alone is asked of the next process."""

    async def drives():
        first, second = desk.process(), desk.process()

        async def ask(asked, context):
            first._is_stopping = True
            runtime = second if second.n_going else first
            below = await runtime.child("agent", "helper", asked.arguments, context.run, asked.call)
            return gave(below.status)

        desk.tools = Tools([offered("ask", uses="agent:helper")], {"ask": ask})
        await first.begin(new_run("run_1", [[["ask", {"script": []}]]]))
        await until(lambda: first.n_going == 0)
        await first.stop()
        desk.store.let_go(desk.store.claim("first", 0, 1, [], 1, "run_1"), 0)
        second.start()
        await until(lambda: desk.store.get("run_1").run.ended)
        await second.stop()

    run(drives())
    assert json.loads(desk.store.get("run_1").run.output) == {"0.0": ['"done"', ""]}


def test_a_run_below_is_found_again_though_its_agent_answers_no_more(desk):
    async def drives():
        runtime = desk.process()
        runtime.start()
        below = await begun_above(desk, runtime, [["ask", {"script": [[["send", {}]]]}]])
        await until(lambda: desk.store.get("run_1").run.status == "waiting")
        (wait,) = desk.store.get(below.id).waits

        def gone(kind, asset, parent):
            raise NotReady("No version of it answers.")

        runtime.served = replace_parts(runtime.served, choose=gone)
        await runtime.answer(wait.id, yes())
        await until(lambda: desk.store.get("run_1").run.ended)
        await runtime.stop()

    run(drives())
    assert json.loads(desk.store.get("run_1").run.output) == {"0.0": ['"done"', ""]}


def test_a_clock_that_is_set_forward_takes_no_time_from_a_run(desk, monkeypatch):
    """A machine that slept, or was put right: the run goes on in the next process as if nothing had been."""
    desk.limits = RunLimits(wall=timedelta(minutes=5))
    ahead = [0]
    monkeypatch.setattr("perdure.serve.runs.doing.machine_us", lambda: machine_us() + ahead[0])

    async def look(asked, context):
        if len(desk.tools.calls) == 1:
            ahead[0] = 86_400 * SECOND
        elif len(desk.tools.calls) == 2:
            await asyncio.sleep(60)
        return gave(len(desk.tools.calls))

    desk.tools.does["look"] = look

    async def drives():
        first, second = desk.process(), desk.process()
        await first.begin(scripted(["look", {"n": 1}], ["look", {"n": 2}]))
        await until(lambda: len(desk.tools.calls) == 2)
        await first.stop()
        second.start()
        await until(lambda: desk.store.get("run_1").run.ended)
        await second.stop()

    run(drives())
    assert desk.store.get("run_1").run.status == "done"

"""Runs of a process: begun once, driven to their end, parked for a person, taken over from the dead, called off, told."""

from __future__ import annotations

import asyncio
import json

import pytest
from acting import Tools, gave, offered
from processes import run, scripted, until, yes

from perdure.assets.agent import RunLimits
from perdure.core.clock import machine_us
from perdure.core.errors import LimitReached, MissingExtra, NotFound, NotReady, StoreFull
from perdure.serve.runs.going import Prepared
from perdure.serve.runs.protocols import ToolGave


def test_a_run_is_driven_to_its_end_and_counted(desk):
    async def drives():
        runtime = desk.process()
        begun = await runtime.begin(scripted(["look", {"n": 1}], ["look", {"n": 2}]))
        assert begun.is_new
        done = await runtime.wait("run_1", 5)
        assert runtime.n_going == 0
        await runtime.stop()
        return done

    done = run(drives())
    assert (done.status, done.n_steps, done.n_tokens, done.cost_pusd) == ("done", 4, 20, 2_000_000)
    assert json.loads(done.output)["1.0"] == ['{"n": 2}', ""]
    assert desk.store.get("run_1").run == done
    assert done.ended_us >= done.began_us


def test_the_same_idempotency_key_gives_the_same_run(desk):
    async def drives():
        runtime = desk.process()
        first = await runtime.begin(scripted(["look", {}], idempotency="mine"))
        again = await runtime.begin(scripted(["look", {}], id_="run_2", idempotency="mine"), listens=True)
        assert (first.is_new, again.is_new, again.run.id) == (True, False, "run_1")
        await runtime.wait("run_1", 5)
        await runtime.stop()

    run(drives())
    assert len(desk.tools.calls) == 1


def test_listeners_hear_each_step_and_the_end_and_a_slow_one_holds_nothing_up(desk, monkeypatch):
    monkeypatch.setattr("perdure.serve.runs.hearing._MOST", 3)

    async def drives():
        runtime = desk.process()
        slow = runtime.listen("run_1")
        begun = await runtime.begin(scripted(*[["look", {"n": n}] for n in range(3)]), listens=True)
        heard = [event.name async for event in begun.listening]
        await runtime.wait("run_1", 5)
        names = [event.name async for event in slow]
        runtime.leave("run_1", slow)
        await runtime.stop()
        return heard, names, slow.n_lost

    heard, names, n_lost = run(drives())
    assert heard == ["begin", *["step"] * 6, "end"]
    assert names == ["begin", "step", "step"]
    assert n_lost == 5


def test_a_run_waits_without_a_process_and_another_goes_on_once_it_is_answered(desk):
    desk.tools = Tools([offered("send", effect="once", approve_by="boss")], {"send": lambda a, c: gave(a.arguments)})

    async def asks():
        runtime = desk.process()
        await runtime.begin(scripted(["send", {"to": "a"}]))
        parked = await runtime.wait("run_1", 5)
        assert runtime.n_going == 0
        await runtime.stop()
        return parked

    async def goes_on():
        runtime = desk.process()
        runtime.start()
        await asyncio.sleep(0.1)
        assert desk.store.get("run_1").run.status == "waiting"
        (wait,) = desk.store.get("run_1").waits
        await runtime.answer(wait.id, yes())
        await until(lambda: desk.store.get("run_1").run.ended)
        await runtime.stop()

    assert run(asks()).status == "waiting"
    assert not desk.log.told
    run(goes_on())
    assert desk.store.get("run_1").run.status == "done"
    assert len(desk.tools.calls) == 1


def test_a_process_that_stops_gives_its_runs_to_another_at_once(desk):
    hangs = asyncio.Event

    async def moves():
        hung = hangs()

        async def look(asked, context):
            hung.set()
            await asyncio.sleep(60 if len(desk.tools.calls) == 2 else 0)
            return gave("ok")

        desk.tools.does["look"] = look
        first, second = desk.process(), desk.process()
        await first.begin(scripted(["look", {"n": 1}], ["look", {"n": 2}]))
        await until(lambda: len(desk.tools.calls) == 2)
        await first.stop()
        assert desk.store.get("run_1").run.status == "running"
        with pytest.raises(NotReady):
            await first.begin(scripted(id_="run_2"))
        second.start()
        await until(lambda: desk.store.get("run_1").run.ended)
        await second.stop()

    run(moves())
    assert desk.store.get("run_1").run.status == "done"
    assert [arguments for _, arguments, _ in desk.tools.calls] == ['{"n": 1}', '{"n": 2}', '{"n": 2}']


def test_a_process_that_was_silent_for_too_long_changes_nothing_more(desk):
    async def loses():
        gate = asyncio.Event()

        async def look(asked, context):
            if len(desk.tools.calls) == 1:
                await gate.wait()
            return gave(len(desk.tools.calls))

        desk.tools.does["look"] = look
        desk.ttl_s = 0.05
        silent = desk.process()
        await silent.begin(scripted(["look", {}]))
        await until(lambda: desk.tools.calls)
        await asyncio.sleep(0.1)
        other = desk.process(ttl_s=5.0)
        other.start()
        await until(lambda: desk.store.get("run_1").run.ended)
        gate.set()
        await until(lambda: silent.n_going == 0)
        await silent.stop()
        await other.stop()

    run(loses())
    told = desk.store.get("run_1")
    assert json.loads(told.run.output) == {"0.0": ["2", ""]}
    assert [step.kind for step in told.steps] == ["chat", "tool"]
    assert len(desk.log.told) == 1


def test_claims_are_held_for_as_long_as_a_run_goes_on_and_lost_ones_end_the_drive(desk):
    async def holds():
        gate = asyncio.Event()

        async def look(asked, context):
            await gate.wait()
            return gave("ok")

        desk.tools.does["look"] = look
        desk.ttl_s = 0.15
        runtime, other = desk.process(), desk.process()
        runtime.start()
        other.start()
        await runtime.begin(scripted(["look", {}]))
        await asyncio.sleep(0.4)
        assert (runtime.n_going, other.n_going) == (1, 0)
        desk.store.claim("thief", 0, machine_us() + 10_000_000, [], 1, run="run_1")
        await until(lambda: runtime.n_going == 0)
        await runtime.stop()
        await other.stop()

    run(holds())
    assert desk.store.get("run_1").run.status == "running"


@pytest.mark.parametrize("where", ["here", "elsewhere", "waiting", "turn"])
def test_a_run_is_called_off_wherever_it_is(desk, where):
    async def cancels():
        async def look(asked, context):
            await asyncio.sleep(60)

        terms = {"effect": "once", **({"approve_by": "boss"} if where == "waiting" else {})}
        desk.tools = Tools([offered("look", **terms)], {"look": look})
        runtime, other = desk.process(most_at_once=1), desk.process()
        if where == "turn":
            await runtime.begin(scripted(["look", {}], id_="run_0"))
        await runtime.begin(scripted(["look", {"to": "a"}]))
        if where == "waiting":
            await runtime.wait("run_1", 5)
        elif where != "turn":
            await until(lambda: desk.tools.calls)
        done = await (other if where == "elsewhere" else runtime).cancel("run_1")
        assert (await runtime.cancel("run_1")).ended_us == done.ended_us
        with pytest.raises(NotFound):
            await runtime.cancel("run_9")
        await runtime.stop()
        await other.stop()
        return done

    done = run(cancels())
    assert (done.status, done.why) == ("cancelled", "run.cancelled")
    states = [step.state for step in desk.store.get("run_1").steps if step.kind == "tool"]
    assert states == {"here": ["begun", "unknown"], "elsewhere": ["begun", "unknown"], "waiting": ["waiting"]}.get(
        where, []
    )
    assert [event.run.id for event in desk.log.told] == ["run_1"]


def test_a_run_that_several_call_off_at_once_ends_once_with_the_reason_of_one(desk):
    desk.tools = Tools([offered("look", approve_by="boss")])

    async def cancels():
        processes = [desk.process() for _ in range(3)]
        await processes[0].begin(scripted(["look", {}]))
        await processes[0].wait("run_1", 5)
        ends = await asyncio.gather(*(each.cancel("run_1", f"Said {n}.") for n, each in enumerate(processes)))
        for each in processes:
            await each.stop()
        return ends

    ends = run(cancels())
    assert {(each.status, each.text, each.ended_us) for each in ends} == {("cancelled", ends[0].text, ends[0].ended_us)}
    assert ends[0].text.startswith("Said ")


def test_a_run_below_is_driven_once_and_counted_above(desk):
    desk.tools = Tools(
        [offered("help", uses="agent:helper"), offered("look")],
        {"help": desk.helped([["look", {}]]), "look": lambda a, c: gave("seen")},
    )

    done = run(desk.driven(scripted(["help", {}])))
    (below,) = [each.run for each in desk.log.told if each.run.parent]
    assert (below.parent, below.root, below.depth, below.asset) == ("run_1", "run_1", 1, "helper")
    assert (done.status, done.n_tokens, done.cost_pusd) == ("done", 20, 2_000_000)
    assert [step.kind for step in desk.store.get("run_1").steps] == ["chat", "child", "tool"]


def test_a_run_whose_run_below_waits_for_a_person_waits_too(desk):
    desk.has_helper_who_asks()

    async def drives():
        runtime = desk.process()
        runtime.start()
        await runtime.begin(scripted(["help", {}]))
        assert (await runtime.wait("run_1", 5)).status == "waiting"
        await runtime.stop()
        again = desk.process()
        again.start()
        (below,) = [each for each in await again.list(_all()) if each.parent]
        (wait,) = (await again.get(below.id)).waits
        await again.answer(wait.id, yes())
        await until(lambda: desk.store.get("run_1").run.ended)
        await again.stop()

    run(drives())
    assert desk.store.get("run_1").run.status == "done"
    assert [name for name, _, _ in desk.tools.calls].count("send") == 1


def test_runs_below_runs_end_at_the_depth_that_is_allowed(desk):
    async def helped(asked, context):
        below = await desk.child("agent", "helper", {"script": [[["help", {}]]]}, context.run, asked.call)
        return ToolGave(below.output, below.status)

    desk.tools = Tools([offered("help", uses="agent:helper")], {"help": helped})
    desk.limits = RunLimits(depth=2)

    async def drives():
        runtime = desk.process()
        await runtime.begin(scripted(["help", {}]))
        await runtime.wait("run_1", 5)
        await runtime.stop()
        return await runtime.list(_all())

    runs = run(drives())
    assert sorted((each.depth, each.status, each.why) for each in runs) == [
        (0, "done", ""), (1, "done", ""), (2, "limited", "limit.depth"),
    ]  # fmt: skip


def test_calling_a_run_off_calls_off_the_runs_below_it(desk):
    async def helped(asked, context):
        await desk.child("agent", "helper", {"script": [[["look", {}]]]}, context.run, asked.call)

    async def look(asked, context):
        await asyncio.sleep(60)

    desk.tools = Tools([offered("help", uses="agent:helper"), offered("look")], {"help": helped, "look": look})

    async def drives():
        runtime = desk.process()
        await runtime.begin(scripted(["help", {}]))
        await until(lambda: len(desk.tools.calls) == 2)
        await runtime.cancel("run_1")
        await until(lambda: runtime.n_going == 0)
        await runtime.stop()
        return await runtime.list(_all())

    assert [each.status for each in run(drives())] == ["cancelled", "cancelled"]


def test_no_more_runs_go_on_at_once_than_allowed_and_no_more_wait_than_is_sound(desk):
    most = desk.crowd(0.01)

    async def drives():
        runtime = desk.process(most_at_once=2)
        for n in range(10):
            await runtime.begin(scripted(["look", {}], id_=f"run_{n}"))
        with pytest.raises(LimitReached):
            await runtime.begin(scripted(id_="run_x"))
        for n in range(10):
            assert (await runtime.wait(f"run_{n}", 5)).status == "done"
        await runtime.stop()

    run(drives())
    assert max(most) == 2


def test_what_is_told_is_masked_as_the_agent_keeps_it_and_the_caller_reads_it_whole(desk):
    async def drives(keeps):
        desk.keeps = keeps
        runtime = desk.process()
        await runtime.begin(scripted(["look", {"to": "a@b.c"}], id_=f"run_{keeps}"))
        done = await runtime.wait(f"run_{keeps}", 5)
        await runtime.stop()
        return done

    for keeps in ("redacted", "full", "none"):
        assert b"a@b.c" in run(drives(keeps)).output
    told = {event.run.id: event for event in desk.log.told}
    for keeps, word in (("redacted", b"[email]"), ("full", b"a@b.c"), ("none", b"digest")):
        event = told[f"run_{keeps}"]
        step = next(each for each in event.steps if each.kind == "tool")
        assert word in event.run.output
        assert word in step.input
        assert (b"a@b.c" in step.output) == (keeps == "full")
        assert step.facts.get("kept", "full") == keeps


def test_texts_of_a_run_whose_version_is_gone_are_not_told(desk):
    async def gone(run):
        raise NotFound("There is no such version.")

    async def drives():
        desk.prepare = gone
        runtime = desk.process()
        await runtime.begin(scripted(["look", {"to": "a@b.c"}]))
        await runtime.wait("run_1", 5)
        await runtime.stop()

    run(drives())
    (told,) = desk.log.told
    assert (told.run.status, told.run.why) == ("failed", "not_found")
    assert b"digest" in told.run.input


def test_nothing_is_made_for_listeners_that_are_not_there(desk, monkeypatch):
    def made(step):
        raise AssertionError("a step was made for nobody")

    monkeypatch.setattr("perdure.serve.runs.journaling.shown_step", made)

    assert run(desk.driven(scripted(["look", {}]))).status == "done"


def test_a_replay_is_not_told(desk):
    run(desk.driven(scripted(replay_of="run_0")))
    assert not desk.log.told


@pytest.mark.parametrize(
    ("error", "why"),
    [(MissingExtra("agents", needed_for="The agent"), "missing_extra"), (RuntimeError("secret"), "run.failed")],
)
def test_a_run_that_cannot_be_driven_fails_with_a_code(desk, error, why):
    async def fails(run):
        raise error

    async def drives():
        runtime = desk.process()
        desk.prepare = fails
        runtime = desk.process()
        await runtime.begin(scripted())
        done = await runtime.wait("run_1", 5)
        await runtime.stop()
        return done

    done = run(drives())
    assert (done.status, done.why) == ("failed", why)
    assert "secret" not in done.text


def test_a_version_that_is_not_there_yet_is_waited_for(desk, monkeypatch):
    monkeypatch.setattr("perdure.serve.runs.going._PAUSE_S", 0.05)
    tries = []

    async def late(run):
        tries.append(1)
        if len(tries) < 3:
            raise NotReady("It is loaded.", delay_s=0.05)
        return Prepared(None, desk.tools, desk.limits)

    async def drives():
        desk.prepare = late
        runtime = desk.process()
        runtime.start()
        await runtime.begin(scripted())
        await until(lambda: desk.store.get("run_1").run.ended)
        await runtime.stop()

    run(drives())
    assert desk.store.get("run_1").run.status == "done"


def test_a_full_disk_stops_a_run_before_its_effect_and_it_goes_on_when_there_is_room(desk, monkeypatch):
    monkeypatch.setattr("perdure.serve.runs.going._PAUSE_S", 0.05)
    desk.tools = Tools([offered("send", effect="once")], {"send": lambda a, c: gave("sent")})
    writes = []
    write = desk.store.write

    def full(progress):
        writes.append(1)
        if 1 < len(writes) < 4:
            error = StoreFull("No room is left.")
            error.delay_s = 0.05
            raise error
        return write(progress)

    monkeypatch.setattr(desk.store, "write", full)

    run(desk.over("run_1", begins=scripted(["send", {}])))
    assert len(desk.tools.calls) == 1
    assert desk.store.get("run_1").run.status == "done"


def test_a_limit_ends_a_run_with_what_it_has(desk):
    desk.limits = RunLimits(steps=3)

    done = run(desk.driven(scripted(*[["look", {"n": n}] for n in range(5)])))
    assert (done.status, done.why) == ("limited", "limit.steps")
    assert json.loads(done.output) == {"0.0": ['{"n": 0}', ""]}


def test_waiting_for_a_run_of_another_process_sees_its_end(desk):
    async def drives():
        runtime, other = desk.process(), desk.process()
        await runtime.begin(scripted(["look", {}]))
        done = await other.wait("run_1", 5)
        short = await other.wait("run_1", 0)
        with pytest.raises(NotFound):
            await other.wait("run_9", 1)
        await runtime.stop()
        await other.stop()
        return done, short

    done, short = run(drives())
    assert done.status == short.status == "done"


def _all():
    from perdure.stores.runs.protocols import Wanted

    return Wanted()

"""Signals of agents and graphs, read off the lake's records of their runs."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from perdure.assets.agent import Agent
from perdure.assets.agent_objectives import (
    failed_ratio,
    grounded_ratio,
    injected_ratio,
    limited_ratio,
    needless_ratio,
    run_s,
    s_per_success,
    task_success,
    tool_error_ratio,
    usd_per_success,
)
from perdure.assets.scorers import Contains, Judged, ToolCalls
from perdure.assets.version import CHAMPION, Pointer, Version
from perdure.core.clock import to_us
from perdure.core.runs import Replayed, RunRecord, StepRecord, Wait, WaitAnswer
from perdure.core.units import days, hours
from perdure.core.usage import PICO
from perdure.loop.work.captured import CapturedBatch
from perdure.loop.work.runs.handed import put_mended
from perdure.loop.work.runs.kind import run_kind
from perdure.loop.work.runs.outcomes import goodness_of
from perdure.loop.work.runs.reading import Seen
from perdure.loop.work.runs.signals import SIGNALS
from perdure.loop.work.runs.watched import watched_run
from perdure.stores.capture.events import Feedback, RunTold
from perdure.stores.ledger.protocols import Key
from perdure.surface.compose import SIGNALS as DECLARABLE

NOW = datetime(2026, 3, 9, tzinfo=UTC)


@pytest.fixture
def support(place):
    """An agent with a version that answers."""
    with place.transaction(NOW - days(9), "release") as session:
        session.registry.put_version(Version("support@1", "support", "agent", {}, {}, {}, {}, NOW - days(9), "test"))
        session.pointers.set([Pointer("support", CHAMPION, "support@1")])
    return watched_run(Agent("support", prompt="answer"))


@pytest.fixture
def keep(place):
    """Puts events into the lake, as the drain does."""
    kept = []

    def put(*events):
        batch = CapturedBatch(len(kept))
        kept.append(batch)
        for each in events:
            batch.add(each)
        for name, frame in batch.tables().items():
            place.stores.lake.append(name, frame)

    return put


def told(n, *, ago=hours(2), steps=(), waits=(), **members):
    """One run that is over."""
    at_us = to_us(NOW - ago)
    made = {
        "version": "support@1", "arm": "champion", "status": "done", "input": b'{"task": "x"}', "output": b'{"text": "ok"}',
        "served_us": at_us, "began_us": at_us, "ended_us": at_us + 1_000_000, **members,
    }  # fmt: skip
    run = RunRecord(id=f"run_{n}", kind="agent", asset="support", **made)
    return RunTold(run=run, steps=list(steps), waits=list(waits), recorded_us=at_us + 2_000_000)


def tool(n, name, gave=None, *, error="", state="", asked=None, **more):
    """One call of a tool."""
    return StepRecord(
        run="", n=n, kind="tool", state=state or ("failed" if error else "done"), node=f"tool:{name}", call=str(n),
        input=json.dumps(asked or {}).encode(), output=b"" if gave is None else json.dumps(gave).encode(), error=error, **more,
    )  # fmt: skip


def read(place, asset, spec):
    """What the kind's own signal says."""
    return run_kind("agent").signals[spec.signal].observe(place, asset, spec, NOW)


def scored(asset, *scorers):
    """The agent with scorers."""
    return watched_run(Agent("support", prompt="answer", success=scorers))


def test_every_signal_that_may_be_declared_is_measured():
    for kind in ("agent", "graph"):
        assert set(DECLARABLE[kind]) == set(run_kind(kind).signals) == set(SIGNALS)


def test_success_is_what_people_said_and_else_what_scorers_say(place, support, keep):
    """Two by feedback (one against the scorer), two by the scorer; one that was called off counts nowhere."""
    right, wrong = b'{"text": "It is Paris."}', b'{"text": "It is Rome."}'
    asked = b'{"task": "capital?", "expected": "Paris"}'
    keep(
        told(1, output=right, input=asked),
        told(2, output=wrong, input=asked),
        told(3, output=wrong, input=asked),
        told(4, output=right, input=asked),
        told(5, output=right, input=asked, status="cancelled"),
        *(Feedback(f"run_{n}", to_us(NOW - hours(1)), 1, "k", "resolved", value) for n, value in ((3, 1.0), (4, 0.0))),
    )
    [reading] = read(place, scored(support, Contains()), task_success(over=days(1)))
    assert (reading.value, reading.n, reading.version) == (0.5, 4, "support@1")
    assert reading.facts["n_by_feedback"] == 2
    assert sorted(reading.facts["runs"]) == ["run_2", "run_4"]
    assert reading.low < 0.5 < reading.high


def test_what_is_said_of_a_team_s_run_counts_from_its_keys_and_an_administrator_s_alone(place, support, keep):
    """Whoever may call the gateway may name any run; a stranger's word, and one of a key that nobody issued, is not heard."""
    with place.stores.ledger.transaction(actor="ann", at=NOW, reason="keys") as session:
        for n, (name, team, is_admin) in enumerate(
            (("own", "desk", False), ("admin", "ops", True), ("other", "shop", False))
        ):
            session.keys.put(Key(name, team, f"{n:064x}", name, NOW, admin=is_admin))
    keep(
        *(told(n, team="desk") for n in range(1, 5)),
        *(
            Feedback(f"run_{n}", to_us(NOW - hours(1)), 1, key, "resolved", 0.0)
            for n, key in enumerate(("own", "admin", "other", "nobody"), 1)
        ),
    )
    [reading] = read(place, support, task_success(over=days(1)))
    assert (reading.value, reading.n) == (0.0, 2)
    assert sorted(reading.facts["runs"]) == ["run_1", "run_2"]


def test_a_run_that_failed_did_not_succeed_where_something_scores_others(place, support, keep):
    keep(told(1, status="failed", output=b""), told(2, output=b'{"text": "Paris"}', input=b'{"expected": "Paris"}'))
    [reading] = read(place, scored(support, Contains()), task_success(over=days(1)))
    assert (reading.value, reading.n) == (0.5, 2)
    assert read(place, support, task_success(over=days(1))) == [], "where nothing scores, nobody knows"


def test_judges_are_not_asked_here(place, support, keep):
    keep(told(1))
    assert read(place, scored(support, Judged("kind")), task_success(over=days(1))) == []


def test_calls_of_tools_are_scored_against_those_that_are_expected(place, support, keep):
    asked = json.dumps({"task": "x", "expected": [{"name": "search"}]}).encode()
    keep(told(1, input=asked, steps=[tool(0, "search")]), told(2, input=asked, steps=[tool(0, "track")]))
    [reading] = read(place, scored(support, ToolCalls(match="any_order", arguments=False)), task_success(over=days(1)))
    assert reading.value == 0.5
    assert reading.facts["runs"] == ["run_2"]


def test_success_by_a_tag_is_a_slice_each(place, support, keep):
    asked = {"input": b'{"expected": "ok"}'}
    keep(
        told(1, tags={"lane": "a"}, **asked),
        told(2, tags={"lane": "b"}, output=b'{"text": "no"}', input=asked["input"]),
    )
    found = read(place, scored(support, Contains()), task_success(over=days(1), by="lane"))
    assert [(each.slice, each.value) for each in found] == [("lane=a", 1.0), ("lane=b", 0.0)]


def test_shadows_others_versions_and_other_windows_count_nowhere(place, support, keep):
    keep(
        told(1, status="failed"),
        told(2, status="failed", arm="shadow"),
        told(3, status="failed", version="support@0"),
        told(4, status="failed", ago=days(3)),
        told(5),
    )
    [reading] = read(place, support, failed_ratio(over=days(1)))
    assert (reading.value, reading.n) == (0.5, 2)
    assert reading.facts["runs"] == ["run_1"]


def test_runs_from_before_the_mending_count_nowhere(place, support, keep):
    keep(told(1, status="limited", why="limit.loop", ago=hours(5)), told(2, ago=hours(1)))
    [before] = read(place, support, limited_ratio(over=days(1)))
    assert (before.value, before.facts["why"]) == (0.5, {"limit.loop": 1})
    with place.transaction(NOW, "mended") as session:
        put_mended(session, "support", NOW - hours(3))
    [after] = read(place, support, limited_ratio(over=days(1)))
    assert (after.value, after.n) == (0.0, 1)
    assert after.window_end - after.window_start == days(1), "it is still the objective's own reading"


def test_nothing_is_measured_without_a_version_that_answers(place, keep):
    keep(told(1, status="failed"))
    assert read(place, watched_run(Agent("support", prompt="answer")), failed_ratio(over=days(1))) == []


def test_claims_are_looked_up_in_what_tools_gave(place, support, keep):
    hits = [tool(0, "search", {"hits": [{"text": "The museum has 12 rooms."}]})]
    keep(
        told(1, steps=hits, output=b'{"text": "The museum has 12 rooms."}'),
        told(2, steps=hits, output=b'{"text": "The museum has 99 rooms."}'),
        told(3, steps=hits, output=b'{"text": "Sure!"}'),
    )
    [reading] = read(place, support, grounded_ratio(over=days(1)))
    assert (reading.value, reading.facts["n_claims"], reading.facts["runs"]) == (0.5, 2, ["run_2"])


def test_failing_tools_are_counted_by_tool(place, support, keep):
    """What was refused was not called, and a tool that does not exist cannot fail."""
    keep(
        told(1, steps=[tool(0, "track", error="tool.timed_out"), tool(1, "search", {"a": 1})]),
        told(2, steps=[tool(0, "track", {"a": 1}), tool(1, "mail", state="refused", error="tool.refused")]),
        told(3, steps=[tool(0, "nope", error="tool.unknown")]),
    )
    [whole] = read(place, support, tool_error_ratio(over=days(1)))
    assert (whole.value, whole.n) == (pytest.approx(1 / 3), 3)
    assert whole.facts == {"by_tool": {"track": 1}, "by_error": {"tool.timed_out": 1}}
    parts = read(place, support, tool_error_ratio(over=days(1), by="tool"))
    assert [(each.slice, each.value) for each in parts] == [("tool=search", 0.0), ("tool=track", 0.5)]


def test_needless_steps_name_their_runs(place, support, keep):
    twice = [
        tool(0, "search", {"text": "opens nine"}, asked={"q": 1}),
        tool(1, "search", {"text": "opens nine"}, asked={"q": 1}),
    ]
    keep(told(1, steps=twice), told(2, steps=twice[:1], tags={"expected_tools": "track"}), told(3, steps=twice[:1]))
    [reading] = read(place, support, needless_ratio(over=days(1)))
    assert reading.value == pytest.approx(2 / 4)
    assert (reading.facts["n_repeated"], reading.facts["n_wrong"]) == (1, 1)
    assert reading.facts["runs"] == ["run_1", "run_2"]


def test_a_tool_that_gives_instructions_counts_its_run(place, support, keep):
    keep(
        told(1, steps=[tool(0, "search", {"a": 1}, facts={"injection": 0.9})]),
        told(2, steps=[tool(0, "search", facts={"injection": 0.2})]),
    )
    [reading] = read(place, support, injected_ratio(over=days(1)))
    assert (reading.value, reading.facts["runs"]) == (0.5, ["run_1"])


def test_what_all_runs_cost_is_laid_on_those_that_succeeded(place, support, keep):
    asked = b'{"expected": "ok"}'
    keep(
        *(
            told(n, input=asked, cost_pusd=PICO, output=b'{"text": "ok"}' if n % 2 else b'{"text": "no"}')
            for n in range(20)
        )
    )
    [reading] = read(place, scored(support, Contains()), usd_per_success(over=days(1)))
    assert reading.value == pytest.approx(2.0)
    assert reading.low < 2.0 < reading.high
    assert (reading.facts["n_success"], reading.facts["usd"]) == (10, 20.0)


def test_what_all_runs_took_is_laid_on_those_that_succeeded(place, support, keep):
    """Ten in 2 s that succeed, ten in 6 s that do not; what a person took of one, and a run that nobody judged, count nowhere."""
    asked, at_us = b'{"expected": "ok"}', to_us(NOW - hours(2))
    answer = WaitAnswer(actor="ana", approves=True, reason="", at_us=at_us + 90_500_000)
    wait = Wait(
        id="w", run="run_1", asset="support", call="0", tool="send", question="approve", text="", arguments=b"", role="r",
        asked_us=at_us + 500_000, answer=answer,
    )  # fmt: skip
    good = {"input": asked, "output": b'{"text": "ok"}'}
    keep(
        told(1, **good, ended_us=at_us + 92_000_000, waits=[wait]),
        *(told(n, **good, ended_us=at_us + 2_000_000) for n in range(2, 11)),
        *(told(n, input=asked, output=b'{"text": "no"}', ended_us=at_us + 6_000_000) for n in range(11, 21)),
        told(21, ended_us=at_us + 500_000_000),
    )
    [reading] = read(place, scored(support, Contains()), s_per_success(over=days(1)))
    assert (reading.unit, reading.value, reading.n) == ("s", pytest.approx(8.0), 20)
    assert reading.low < 8.0 < reading.high
    assert (reading.facts["n_success"], reading.facts["s"]) == (10, pytest.approx(80.0))
    assert read(place, support, s_per_success(over=days(1))) == []


def test_a_run_is_good_by_its_seconds_only_if_it_succeeded(support):
    """And a replay likewise, which takes what the run took."""
    asset, at_us = scored(support, Contains()), to_us(NOW)
    judged = goodness_of(asset, s_per_success(over=days(1)) <= 3.0)
    runs = [
        told(n, input=b'{"expected": "ok"}', output=output, ended_us=to_us(NOW - hours(2)) + took_us)
        for n, (output, took_us) in enumerate(
            [(b'{"text": "ok"}', 2_000_000), (b'{"text": "ok"}', 4_000_000), (b'{"text": "no"}', 2_000_000)]
        )
    ]
    seen = [Seen(each.run, each.steps) for each in runs]
    assert [judged.of(each) for each in seen] == [1.0, 0.0, 0.0]
    again = [Replayed(run=replace(each.run, began_us=at_us, ended_us=at_us + 1), steps=()) for each in runs]
    assert [judged.replayed(*each) for each in zip(seen, again, strict=True)] == [1.0, 0.0, 0.0]


def test_time_is_without_what_people_took(place, support, keep):
    """Ten seconds, nine of which somebody was asked."""
    at_us = to_us(NOW - hours(2))
    answer = WaitAnswer(actor="ana", approves=True, reason="", at_us=at_us + 9_500_000)
    wait = Wait(
        id="w", run="run_0", asset="support", call="0", tool="send", question="approve", text="", arguments=b"", role="r",
        asked_us=at_us + 500_000, answer=answer,
    )  # fmt: skip
    keep(*(told(n, ended_us=at_us + 10_000_000, waits=[wait]) for n in range(40)))
    [reading] = read(place, support, run_s(quantile=0.5, over=days(1)))
    assert reading.value == pytest.approx(1.0)


def test_signals_of_one_round_read_the_lake_once(place, support, keep, monkeypatch):
    keep(told(1, steps=[tool(0, "search", {"a": 1})]))
    kind, reads = run_kind("agent"), []
    usual = type(place.stores.lake).read

    def counting(lake, table, **more):
        reads.append(table)
        return usual(lake, table, **more)

    monkeypatch.setattr(type(place.stores.lake), "read", counting)
    for spec in (tool_error_ratio(over=days(1)), needless_ratio(over=days(1)), injected_ratio(over=days(1))):
        assert kind.signals[spec.signal].observe(place, support, spec, NOW)
    assert reads.count("run_steps") == 1
    keep(told(2, steps=[tool(0, "search", error="tool.failed")]))
    spec = tool_error_ratio(over=days(1))
    assert kind.signals[spec.signal].observe(place, support, spec, NOW)[0].n == 2, "what came meanwhile is seen"


def test_runs_without_texts_are_no_error(place, support, keep):
    """`keeps="none"`: nothing says what was asked or given."""
    keep(told(1, input=b"", output=b"", steps=[tool(0, "search")]))
    for spec in (grounded_ratio(over=days(1)), needless_ratio(over=days(1)), task_success(over=days(1))):
        read(place, scored(support, Contains()), spec)
    assert read(place, support, grounded_ratio(over=days(1))) == []


def test_many_runs_are_spread_evenly(place, support, keep, monkeypatch):
    monkeypatch.setattr("perdure.loop.work.runs.reading.MOST", 10)
    keep(*(told(n, ago=timedelta(minutes=n + 1)) for n in range(40)))
    [reading] = read(place, support, injected_ratio(over=days(1)))
    assert reading.n == 10
    [whole] = read(place, support, failed_ratio(over=days(1)))
    assert whole.n == 40, "ends are counted, all of them"

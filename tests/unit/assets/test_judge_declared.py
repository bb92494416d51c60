"""Judges as declared: what makes a version, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from perdure import Judge, days, judge_agreement
from perdure.core.errors import BadJudge


def made(**settings: Any) -> Judge:
    return Judge(**{"name": "kind", "rubric": "Is it kind?", "route": "judges", **settings})


def test_a_version_is_what_makes_it_say_what_it_says() -> None:
    definition = made().definition()

    assert definition["params"] == {"temperature": 0}
    assert made(healthy=[judge_agreement(over=days(1)) >= 0.8], anchor="a.jsonl").definition() == definition
    for other in ({"rubric": "Is it right?"}, {"form": "pairwise"}, {"scale": (1, 2, 3)}, {"panel": ("b",)}, {"repeats": 3},
                  {"model": "up/m"}, {"params": {"temperature": 1}}, {"says": "word"}):  # fmt: skip
        assert made(**other).definition() != definition


def test_versions_of_judges_that_give_reasons_keep_their_ids() -> None:
    assert "says" not in made().definition()


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"name": "Kind!"}, "not legal"),
        ({"rubric": " "}, "lacks its rubric"),
        ({"route": ""}, "lacks its rubric or its route"),
        ({"scale": ("good",)}, "At least two words"),
        ({"scale": ("good", "good")}, "all different"),
        ({"repeats": 0}, "asked 0 times"),
        ({"says": "prose"}, "says 'prose'. Use reason, word"),
        ({"form": "pairs"}, "has the form 'pairs'. Use pointwise, pairwise, reference"),
    ],
)
def test_what_can_judge_nothing_is_refused(settings: dict[str, Any], why: str) -> None:
    with pytest.raises(BadJudge, match=why):
        made(**settings)

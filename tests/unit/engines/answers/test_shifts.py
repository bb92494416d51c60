"""Shifts of probe answers: quiet where a noisy model is the same, loud where it changed."""

from __future__ import annotations

import random

import pytest

from perdure.core.errors import TooFewRows
from perdure.engines.answers.shifts import ProbeAnswer, shift

NOISE = ["certainly", "indeed", "well", "here", "so", "quite", "rather", "perhaps", "please", "maybe", "thus", "also"]


def _answers(rng, runs, changed=0.0, n_probes=3):
    """Twelve words a question, a fifth of which is another one each time."""
    made = []
    for run in runs:
        for probe in range(n_probes):
            words = [f"q{probe}w{at}" for at in range(12)]
            said = [rng.choice(NOISE) if rng.random() < 0.2 + changed else word for word in words]
            made.append(ProbeAnswer(f"q{probe}", run, " ".join(said[: 8 if rng.random() < 0.3 else 12])))
    return made


def test_an_unchanged_noisy_model_gives_no_false_alarm_in_a_hundred():
    """At a bound of nothing at all, which no objective asks for; the least bound that one does is far above."""
    alarms, far = 0, 0
    for seed in range(120):
        rng = random.Random(seed)
        found = shift(_answers(rng, range(20)), _answers(rng, range(90, 93)), seed=seed)
        alarms += found.low > 0.0
        far += found.low > 0.05
    assert alarms <= 1
    assert far == 0


def test_a_changed_model_is_seen():
    seen = 0
    for seed in range(20):
        rng = random.Random(seed)
        found = shift(_answers(rng, range(30)), _answers(rng, range(90, 94), 0.4), seed=seed)
        seen += found.low > 0.03
    assert seen >= 19


def test_the_question_that_moved_is_named_first():
    rng = random.Random(1)
    new = [
        each if each.probe != "q2" else ProbeAnswer("q2", each.run, "Something else altogether was said.")
        for each in _answers(rng, range(90, 94))
    ]
    found = shift(_answers(rng, range(30)), new)
    assert next(iter(found.by_probe)) == "q2"
    assert found.low > 0.05


@pytest.mark.parametrize(
    ("before", "after", "part"),
    [
        ('{"city": "Paris"}', '{"city": "Paris"', "json"),
        ("Wo ist das Paket und was ist es?", "Where is the parcel and what is it?", "usual_language"),
    ],
)
def test_a_change_of_form_is_as_far_as_can_be(before, after, part):
    old = [ProbeAnswer("q", run, before) for run in range(20)]
    found = shift(old, [ProbeAnswer("q", run, after) for run in (90, 91)])
    assert found.value == 1.0
    assert found.parts[part] == {"before": 1.0, "now": 0.0}


def test_a_refusal_is_as_far_as_can_be_whatever_its_words():
    old = [ProbeAnswer("q", run, "Paris") for run in range(20)]
    found = shift(old, [ProbeAnswer("q", run, "Paris", refused=True) for run in (90, 91)])
    assert found.value == 1.0
    assert found.low > 0.99


def test_answers_that_never_vary_and_did_not_change_have_no_shift_at_all():
    old = [ProbeAnswer("q", run, "Paris.") for run in range(20)]
    found = shift(old, [ProbeAnswer("q", run, "paris") for run in (90, 91)])
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)


def test_a_replay_in_which_a_question_failed_still_counts():
    rng = random.Random(3)
    old = [each for each in _answers(rng, range(30)) if rng.random() > 0.1]
    found = shift(old, _answers(rng, range(90, 93)))
    assert found.low == 0.0
    assert found.n_reference_runs == 30


@pytest.mark.parametrize(("n_old", "n_new"), [(30, 1), (5, 2), (0, 4)])
def test_too_few_replays_are_told(n_old, n_new):
    rng = random.Random(0)
    with pytest.raises(TooFewRows):
        shift(_answers(rng, range(n_old)), _answers(rng, range(90, 90 + n_new)))


def test_the_same_answers_give_the_same_shift_in_any_order():
    rng = random.Random(5)
    old, new = _answers(rng, range(30)), _answers(rng, range(90, 93))
    assert shift(old, new) == shift(old[::-1], new[::-1])

"""New intents: quiet where the same is asked in other words, seen and named where something new is."""

from __future__ import annotations

import random

import pytest

from perdure.core.errors import TooFewRows
from perdure.engines.answers.intents import new_intents
from perdure.engines.answers.languages import language_of

THINGS = [
    "invoice",
    "parcel",
    "refund",
    "password",
    "booking",
    "contract",
    "subscription",
    "delivery",
    "receipt",
    "order",
]
PEOPLE = [
    "my mother",
    "a customer",
    "our office",
    "the team",
    "my neighbour",
    "a colleague",
    "the school",
    "my landlord",
]


def _usual(rng):
    how = rng.choice(["Where is", "How do I find", "Can you explain", "Please check"])
    return f"{how} the {rng.choice(THINGS)} of {rng.choice(PEOPLE)}, number {rng.randrange(1000)}?"


def _cooking(rng):
    dish = rng.choice(["lentil soup", "plum cake", "rye bread", "fried rice", "apple pie", "bean stew"])
    return (
        f"Give me a {rng.choice(['quick', 'cheap', 'vegan'])} recipe to cook {dish} with {rng.randrange(2, 90)} spices"
    )


def test_quiet_traffic_has_few_new_intents():
    """As many as among the reference itself, about one in fifty."""
    shares = []
    for seed in range(10):
        rng = random.Random(seed)
        found = new_intents([_usual(rng) for _ in range(300)], [_usual(rng) for _ in range(100)])
        shares.append(found.n_new / found.n)
    assert sum(shares) / len(shares) < 0.05


def test_a_new_intent_is_gathered_named_and_proposed_as_cases():
    rng = random.Random(1)
    new = [_usual(rng) for _ in range(70)] + [_cooking(rng) for _ in range(30)]
    found = new_intents([_usual(rng) for _ in range(300)], new)
    assert 28 <= found.n_new <= 36
    largest = found.clusters[0]
    assert largest.n >= 15
    assert {"recipe", "cook"} <= set(largest.words)
    assert all("recipe" in case for case in largest.cases)


def test_a_language_that_nobody_used_is_new():
    rng = random.Random(2)
    german = [f"Wo ist mein Paket Nummer {n}, und was kostet die Rechnung?" for n in range(20)]
    found = new_intents([_usual(rng) for _ in range(300)], [_usual(rng) for _ in range(60)] + german)
    assert found.new_languages == ("de",)
    assert found.n_new >= 20


def test_one_caller_in_a_loop_is_one_question():
    rng = random.Random(3)
    found = new_intents([_usual(rng) for _ in range(300)], [_usual(rng) for _ in range(50)] + ["Bake a cake now"] * 500)
    assert found.n <= 51


def test_too_few_questions_are_told():
    with pytest.raises(TooFewRows):
        new_intents(["Where is it?"] * 100, ["Where?"])


@pytest.mark.parametrize(
    ("text", "language"),
    [("Où est mon colis, je vous prie?", "fr"), ("¿Dónde está mi pedido y cuándo llega?", "es"), ("荷物はどこですか", "ja"),
     ("где моя посылка", "ru"), ("내 소포는 어디에 있나요", "ko"), ("12 34", ""), ("", "")],
)  # fmt: skip
def test_a_language_is_guessed_by_script_and_words(text, language):
    assert language_of(text) == language

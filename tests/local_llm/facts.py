"""Made facts, each with its question: sixty cases that a small model can answer from one sentence."""

from __future__ import annotations

from random import Random

from perdure import Case

_NAMES = [
    "Arlo",
    "Bea",
    "Cora",
    "Dina",
    "Egon",
    "Fred",
    "Gina",
    "Hugo",
    "Ines",
    "Jana",
    "Karl",
    "Lena",
    "Milo",
    "Nora",
    "Otto",
    "Pia",
    "Quin",
    "Rosa",
    "Sven",
    "Tara",
    "Ugo",
    "Vera",
    "Willi",
    "Xenia",
    "Yara",
    "Zeno",
    "Abel",
    "Boris",
    "Clara",
    "Dorian",
]
_FACTS = (
    ("{n} lives in {v}.", "Where does {n} live?", "Bremen Lisbon Oslo Turin Krakow Ghent Porto Graz Basel Lyon Malmo Cork"),
    ("The car of {n} is {v}.", "What color is the car of {n}?", "red blue green yellow purple white black orange"),
    ("{n} has a {v} as a pet.", "What pet does {n} have?", "cat dog parrot horse rabbit turtle goat"),
    ("The train of {n} leaves from platform {v}.", "From which platform does the train of {n} leave?", "11 23 37 42 58 64 79"),
    (
        "The meeting with {n} is on {v}.",
        "On which day is the meeting with {n}?",
        "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
    ),
)  # fmt: skip


def cases(n: int = 60, seed: int = 7) -> list[Case]:
    """The first `n` cases; the same for the same seed."""
    random, found = Random(seed), []
    for place in range(n):
        told, asked, values = _FACTS[(place + place // len(_NAMES)) % len(_FACTS)]
        name, value = _NAMES[place % len(_NAMES)], random.choice(values.split())
        context, question = told.format(n=name, v=value), asked.format(n=name)
        found.append(
            Case(
                f"fact_{place}",
                {"context": context, "question": question},
                value,
                contexts=(context,),
                cluster=f"{place}",
            )
        )
    return found


def others(n: int = 60, seed: int = 7) -> list[str]:
    """To each of `cases` an answer that is wrong: what is true of the next case of its kind that says otherwise."""
    asked = cases(n, seed)
    kinds = [str(case.inputs["question"]).split()[:2] for case in asked]
    return [
        next(
            str(other.expected)
            for step in range(1, n)
            for other, of in [(asked[(place + step) % n], kinds[(place + step) % n])]
            if of == kind and other.expected != asked[place].expected
        )
        for place, kind in enumerate(kinds)
    ]

"""Sentences that are embedded anew on schedule: an embedder that changed behind its name is seen by its vectors of them.

They differ in length, subject, form and script, so that another model, another pooling, a lost prefix, another normalisation of case or a
cut at fewer tokens each move one of them at least. They are part of what an index keeps: changing one is a new set.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perdure.core.canonical import content_hash
from perdure.engines.retrieval.protocols import Embedder

_LONG = " ".join(
    f"Clause {number}: the lessee of unit {number * 7} pays by day {number % 28 + 1}, and keeps its {room} as it was found."
    for number, room in enumerate(
        ["cellar", "roof", "garden", "kitchen", "stair", "yard", "attic", "hall"] * 3, start=1
    )
)
SENTINELS: tuple[str, ...] = (
    "Goods may be returned within 30 days of delivery.",
    "How do I cancel my subscription before the next billing date?",
    "return policy",
    "x",
    "The mitochondrion makes most of a cell's adenosine triphosphate.",
    "Flight UA 1545 left Newark 14 minutes late because of fog.",
    "def total(items): return sum(each.price * each.n for each in items)",
    "SELECT name, COUNT(*) FROM orders WHERE placed_at > '2024-01-01' GROUP BY name;",
    "ERROR 1045 (28000): Access denied for user 'reader'@'10.0.0.7'",
    "The contract ends on 31 December 2027 unless it is renewed in writing.",
    "THE CONTRACT ENDS ON 31 DECEMBER 2027 UNLESS IT IS RENEWED IN WRITING.",
    "The contract does not end on 31 December 2027.",
    "Ein Vertrag endet mit Ablauf der vereinbarten Frist.",
    "El paquete llegó roto y quiero que me devuelvan el dinero.",
    "Le délai de rétractation est de quatorze jours.",
    "東京は日本の首都です。",
    "Срок действия договора истекает завтра.",
    "الطقس جميل اليوم",
    "| month | sales |\n|---|---|\n| May | 1,204 |\n| June | 1,377 |",
    "# Installation\n\n1. Download the archive.\n2. Unpack it.\n3. Run `make setup`.",
    '{"id": 17, "state": "paid", "total": 99.5}',
    "Water boils at 100 °C at sea level, and at about 93 °C in Denver.",
    "She read the letter twice, folded it, and said nothing until evening.",
    "Take one tablet every eight hours with food; never more than three a day.",
    "The defendant's motion to dismiss is denied.",
    "Shares fell 4.2% after the company cut its forecast for the third time.",
    "To bleed the brakes, open the valve a quarter turn while a second person presses the pedal.",
    "https://example.org/docs/index.html?lang=en#install",
    "café naïve résumé",
    "\U0001f600 great product, would buy again!!!",
    "  spaces   and\ttabs \n and lines  ",
    _LONG,
)
"""32 texts, from one letter to about 700 tokens."""
SENTINELS_DIGEST = content_hash(SENTINELS)[:32]
"""Of the texts: vectors kept with another one are of another set, and are compared with nothing."""


def sentinel_vectors(embedder: Embedder) -> NDArray[np.float32]:
    """The vectors of the sentinels, shape (32, dimensions); one text a call, for an upstream's batch may move its vectors a little."""
    return np.concatenate([embedder.embed([text]) for text in SENTINELS])


def shift(before: NDArray[np.float32], after: NDArray[np.float32]) -> float:
    """How far the embedder moved: 1 less the worst cosine of a sentinel to itself, 0 to 2. 1 where shapes differ.

    All zeros both times is no move; all zeros once is one of 1. Equal weights and arithmetic give 0; an upstream's rounding some 1e-5.

    >>> shift(np.eye(2, dtype=np.float32), np.eye(2, dtype=np.float32)[::-1])
    1.0
    """
    if before.shape != after.shape:
        return 1.0
    if np.array_equal(before, after):
        return 0.0
    first, second = before.astype(np.float64), after.astype(np.float64)
    lengths = np.sqrt((first * first).sum(axis=1) * (second * second).sum(axis=1))
    alike = np.divide((first * second).sum(axis=1), lengths, out=np.zeros(len(first)), where=lengths != 0.0)
    alike[~first.any(axis=1) & ~second.any(axis=1)] = 1.0
    return float(max(0.0, 1.0 - np.nan_to_num(alike, nan=-1.0).min(initial=1.0)))

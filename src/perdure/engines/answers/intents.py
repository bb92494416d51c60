"""Questions that are like none of the time before: new intents of the traffic, with what they are about.

A question is held against every question of the reference time; how unlike a known one may be is learned from the reference
itself: the nearest neighbour of each of its questions among the others. What is further away, or in a language that hardly
anybody used, is new. New ones are gathered into clusters, each told by its commonest words, and a few of its questions are
proposed as cases for an evaluation. Each wording counts once, so that one caller in a loop is one question.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perdure.core.errors import TooFewRows
from perdure.engines.answers.languages import language_of
from perdure.engines.answers.vectors import Float2D, counts_of, directions, normalised, words_of

BASE = 0.02
"""Share of the reference's own questions that are as far from their neighbours: what quiet traffic shows."""
MOST = 1500
"""Questions of each side that are looked at: evenly spread over the time."""
N_LEAST = 50
"""Of the reference; of the window a fifth of it."""
_SELDOM = 0.005
_CLUSTER = 0.35
_N_WORDS, _N_CASES, _N_CLUSTERS = 6, 5, 5


@dataclass(frozen=True, slots=True)
class Cluster:
    """New questions that are alike."""

    n: int
    words: tuple[str, ...]
    """The commonest that the reference hardly has."""
    languages: tuple[str, ...]
    cases: tuple[str, ...]
    """A few of its questions, proposed as cases for an evaluation."""


@dataclass(frozen=True, slots=True)
class Intents:
    """What of a window's questions is new."""

    n: int
    n_new: int
    n_reference: int
    threshold: float
    """Likeness below which a question is new."""
    new_languages: tuple[str, ...]
    clusters: tuple[Cluster, ...]
    """The largest first."""


def new_intents(reference: Sequence[str], current: Sequence[str]) -> Intents:
    """Which of the `current` questions are like none of the `reference`.

    Args:
        reference: questions of the time before, in its order.
        current: questions of the window, in its order.

    Raises:
        TooFewRows: fewer than 50 different questions before, or 10 now.

    Cost: some 0.5 s for 1,500 questions on each side.
    """
    old, new = _different(reference), _different(current)
    if len(old) < N_LEAST or len(new) < N_LEAST // 5:
        raise TooFewRows(
            f"{len(new)} different questions now and {len(old)} before are too few to tell new intents.",
            hint="Use a longer window; questions are seen only where the route keeps bodies.",
            n=len(new),
            n_needed=N_LEAST // 5,
        )
    old_counts, new_counts = counts_of(old), counts_of(new)
    rarity = _rarity(old_counts)
    known, asked = directions(old_counts, rarity), directions(new_counts, rarity)
    among = known @ known.T
    np.fill_diagonal(among, -1.0)
    threshold = float(np.quantile(among.max(axis=1), BASE))
    nearest = (asked @ known.T).max(axis=1)
    unheard = _unheard(old, new)
    is_new = (nearest < threshold) | np.array([language in unheard for language in map(language_of, new)])
    picked = np.flatnonzero(is_new)
    clusters = _clusters([new[at] for at in picked], asked[picked], _usual_words(old))
    return Intents(len(new), len(picked), len(old), round(threshold, 4), tuple(sorted(unheard)), clusters)


def _different(texts: Sequence[str]) -> list[str]:
    unique = list({normalised(text): text for text in texts if text.strip()}.values())
    if len(unique) <= MOST:
        return unique
    return [unique[at] for at in np.linspace(0, len(unique) - 1, MOST).astype(int)]


def _rarity(counts: Float2D) -> NDArray[np.float32]:
    """The rarer a bucket among known questions, the heavier."""
    n_with = (counts > 0.0).sum(axis=0)
    return np.asarray(np.log((1.0 + len(counts)) / (1.0 + n_with)) + 0.1, dtype=np.float32)


def _unheard(old: Sequence[str], new: Sequence[str]) -> set[str]:
    """Languages of now that hardly a question was in before."""
    before, now = Counter(map(language_of, old)), Counter(map(language_of, new))
    return {
        language
        for language, n in now.items()
        if language and n >= 3 and before[language] < max(1.0, _SELDOM * len(old)) and n > 4 * before[language]
    }


def _usual_words(old: Sequence[str]) -> set[str]:
    counted = Counter(word for text in old for word in set(words_of(text)))
    return {word for word, n in counted.items() if n > 0.01 * len(old)}


def _clusters(texts: Sequence[str], rows: Float2D, usual: set[str]) -> tuple[Cluster, ...]:
    """Each question joins the cluster whose middle it is nearest to, or begins one."""
    middles: list[NDArray[np.float32]] = []
    members: list[list[int]] = []
    for at, row in enumerate(rows):
        near = [float(row @ middle) / max(float(np.sqrt(middle @ middle)), 1e-9) for middle in middles]
        best = int(np.argmax(near)) if near else -1
        if near and near[best] >= _CLUSTER:
            middles[best] = middles[best] + row
            members[best].append(at)
        else:
            middles.append(row.copy())
            members.append([at])
    members.sort(key=lambda each: (-len(each), each[0]))
    return tuple(_told([texts[at] for at in each], usual) for each in members[:_N_CLUSTERS])


def _told(texts: Sequence[str], usual: set[str]) -> Cluster:
    counted = Counter(word for text in texts for word in set(words_of(text)))
    ranked = sorted(counted, key=lambda word: (word in usual, -counted[word], word))
    words = tuple(word for word in ranked if len(word) > 2 or not word.isascii())[:_N_WORDS]
    languages = tuple(sorted({language for language in map(language_of, texts) if language}))
    return Cluster(len(texts), words, languages, tuple(texts[:_N_CASES]))

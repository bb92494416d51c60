"""How far the answers to fixed questions are from those of the time before: a model that changed silently is seen by it.

Answers at temperature 0 are not the same twice either: batches, replicas and rounding change words. So new answers are not
compared with old ones word by word; the distance between new and old is held against the distances among the old and among
the new (the energy distance of both samples, averaged over questions), and whether that is more than chance is told by
exchanging whole replays of the suite between the two. The answers of one replay may move together: they are one unit.

What surprised us: a threshold on mean similarity alone had to be set anew for each question, since some have one answer and
others a hundred; of the energy distance zero means unchanged for every question.

Source: G. Székely, M. Rizzo, Energy statistics, J. Statist. Plan. Inference 143 (2013), eq. 6.1; permutation: 6.2.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from perdure.core.errors import TooFewRows
from perdure.engines.answers.languages import language_of
from perdure.engines.answers.vectors import likeness, normalised

ALPHA = 0.005
"""Chance that unchanged answers give a bound above zero: below the one in a hundred that is promised."""
N_EXCHANGES = 1999
_LONGER = 4.0
"""An answer so many times as long is as far as one can be."""

Float2D = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ProbeAnswer:
    """One answer to one question of the suite."""

    probe: str
    run: int
    """The replay that it belongs to."""
    text: str
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Shift:
    """How far answers moved: 0 not at all, 1 nothing is as it was."""

    value: float
    low: float
    """Above 0 only where chance alone would give as much in 5 of 1,000 cases."""
    high: float
    n_runs: int
    n_reference_runs: int
    by_probe: dict[str, float]
    """Of each question, the largest first."""
    parts: dict[str, dict[str, float]]
    """Share of refusals, of valid JSON, of the reference's language, and mean length: before and now."""


def shift(reference: Sequence[ProbeAnswer], current: Sequence[ProbeAnswer], *, seed: int = 0) -> Shift:
    """How far `current` answers are from `reference` ones, question by question.

    Args:
        reference: of the time before.
        current: of now; no run of theirs is among the reference's.
        seed: of the exchanges, where there are too many to try all.

    Raises:
        TooFewRows: fewer than two replays on a side, or so few that chance cannot be told: the ways in which they
            could be exchanged must be 200 at least (two new replays need 19 old ones, three need 9, four need 7).

    Cost: some 0.3 s for 20 questions, 60 replays.

    >>> old = [ProbeAnswer("capital", run, "Paris.") for run in range(20)]
    >>> same, other = (shift(old, [ProbeAnswer("capital", 90 + run, text) for run in (0, 1)]) for text in ("Paris!", "Lyon"))
    >>> same.value, same.high, other.low > 0.5
    (0.0, 0.0, True)
    """
    probes = sorted({each.probe for each in reference} & {each.probe for each in current})
    kept = [[each for each in side if each.probe in set(probes)] for side in (reference, current)]
    old, new = (sorted({each.run for each in side}) for side in kept)
    _check(len(old), len(new))
    place = {run: at for at, run in enumerate([*old, *new])}
    by_probe = {
        probe: _distances([each for side in kept for each in side if each.probe == probe], place) for probe in probes
    }
    together = _mean(list(by_probe.values()))
    is_new = np.arange(len(place)) >= len(old)
    value = _energy(together, is_new[None, :])[0]
    chance = _by_chance(together, len(new), seed)
    found = {probe: round(float(_energy(_filled(own), is_new[None, :])[0]), 4) for probe, own in by_probe.items()}
    return Shift(
        value=float(np.clip(value, 0.0, 1.0)),
        low=float(np.clip(value - chance, 0.0, 1.0)),
        high=float(np.clip(value + chance, 0.0, 1.0)),
        n_runs=len(new),
        n_reference_runs=len(old),
        by_probe=dict(sorted(found.items(), key=lambda each: (-each[1], each[0]))),
        parts=_parts(kept[0], kept[1]),
    )


def _check(n_old: int, n_new: int) -> None:
    needed = math.ceil(1.0 / ALPHA)
    if min(n_old, n_new) < 2 or math.comb(n_old + n_new, n_new) < needed:
        raise TooFewRows(
            f"{n_new} new and {n_old} old replays of the probes are too few to tell a shift from chance.",
            hint="Probe more often, or use a longer window.",
            n=n_new,
            n_needed=2,
        )


def _distances(answers: Sequence[ProbeAnswer], place: dict[int, int]) -> Float2D:
    """Of one question: shape (runs, runs), NaN where a run has no answer."""
    last = {each.run: each for each in answers}
    texts = list(dict.fromkeys(each.text for each in last.values()))
    apart = 1.0 - likeness(texts)
    flags = [_Flags.of(text) for text in texts]
    for first, second in combinations(range(len(texts)), 2):
        apart[first, second] = apart[second, first] = max(apart[first, second], flags[first].apart(flags[second]))
    number = {text: at for at, text in enumerate(texts)}
    made = np.full((len(place), len(place)), np.nan)
    at = np.array([place[run] for run in last])
    which = np.array([number[each.text] for each in last.values()])
    refused = np.array([each.refused for each in last.values()])
    found = np.where(refused[:, None] != refused[None, :], 1.0, apart[np.ix_(which, which)])
    made[np.ix_(at, at)] = found
    return made


@dataclass(frozen=True, slots=True)
class _Flags:
    """What two answers may differ in beside their words."""

    is_json: bool
    language: str
    n: int

    @classmethod
    def of(cls, text: str) -> _Flags:
        return cls(is_json(text), language_of(text), len(normalised(text)))

    def apart(self, other: _Flags) -> float:
        if self.is_json != other.is_json or (self.language and other.language and self.language != other.language):
            return 1.0
        return min(1.0, abs(math.log((self.n + 10) / (other.n + 10))) / math.log(_LONGER)) if self.n != other.n else 0.0


def is_json(text: str) -> bool:
    """Whether a text is a JSON object or array, a fence of code around it left out.

    >>> is_json('{"a": 1}'), is_json("12"), is_json("{a}")
    (True, False, False)
    """
    bare = text.strip().removeprefix("```json").removeprefix("```").removesuffix("```").strip()
    if not bare.startswith(("{", "[")):
        return False
    try:
        json.loads(bare)
    except (ValueError, RecursionError):
        return False
    return True


def _mean(distances: Sequence[Float2D]) -> Float2D:
    """Over questions, of those that both runs answered."""
    stacked = np.stack(distances)
    known = ~np.isnan(stacked)
    counted = known.sum(axis=0)
    total = np.where(known, stacked, 0.0).sum(axis=0)
    return _filled(np.where(counted > 0, total / np.maximum(counted, 1), np.nan))


def _filled(distances: Float2D) -> Float2D:
    """Pairs of runs that nothing is known of are as far apart as the others are on average."""
    known = distances[~np.isnan(distances)]
    return np.where(np.isnan(distances), float(known.mean()) if known.size else 0.0, distances)


def _energy(distances: Float2D, is_new: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Half the energy distance for each row of choices: between new and old, less the means within both."""
    apart = distances - np.diag(np.diag(distances))
    new = is_new.astype(np.float64)
    old = 1.0 - new
    n_new, n_old = new.sum(axis=1), old.sum(axis=1)
    between = ((new @ apart) * old).sum(axis=1) / (n_new * n_old)
    within_new = ((new @ apart) * new).sum(axis=1) / (n_new * (n_new - 1.0))
    within_old = ((old @ apart) * old).sum(axis=1) / (n_old * (n_old - 1.0))
    found: NDArray[np.float64] = between - (within_new + within_old) / 2.0
    return found


def _by_chance(distances: Float2D, n_new: int, seed: int) -> float:
    """What exchanging runs gives in all but 5 of 1,000 cases."""
    n = len(distances)
    if math.comb(n, n_new) <= N_EXCHANGES:
        chosen = list(combinations(range(n), n_new))
    else:
        rng = np.random.default_rng(seed)
        drawn = np.argsort(rng.random((N_EXCHANGES, n)), axis=1)[:, :n_new]
        chosen = [tuple(row) for row in drawn]
        chosen.append(tuple(range(n - n_new, n)))  # what was seen is one of the ways
    is_new = np.zeros((len(chosen), n), dtype=np.bool_)
    np.put_along_axis(is_new, np.array(chosen), values=True, axis=1)
    found = np.sort(_energy(distances, is_new))
    return max(0.0, float(found[math.ceil((1.0 - ALPHA) * len(found)) - 1]))


def _parts(reference: Sequence[ProbeAnswer], current: Sequence[ProbeAnswer]) -> dict[str, dict[str, float]]:
    spoken = [language_of(each.text) for each in reference]
    usual = max(set(spoken), key=lambda language: (spoken.count(language), language)) if spoken else ""
    measures: dict[str, Callable[[ProbeAnswer], float]] = {
        "refusals": lambda each: float(each.refused),
        "json": lambda each: float(is_json(each.text)),
        "usual_language": lambda each: float(language_of(each.text) in ("", usual)),
        "length": lambda each: float(len(each.text)),
    }
    return {
        name: {"before": _average(reference, measure), "now": _average(current, measure)}
        for name, measure in measures.items()
    }


def _average(answers: Sequence[ProbeAnswer], measure: Callable[[ProbeAnswer], float]) -> float:
    return round(sum(measure(each) for each in answers) / max(1, len(answers)), 4)

"""How far a judge's figure can be trusted once people's labels correct it: coverage, labels saved, and under a shift.

Real verdicts: LLMBar's 419 pairs of answers with the human choice, judged by six models in both orders (Zeng et al. 2024,
MIT). Each simulated study draws n labelled and N only-judged pairs with replacement at a given share of "the first is
better", and asks for that share with a 95% interval. A verdict that changes with the order is a tie.

Rows: the judge alone; PPI++ with a normal quantile, as the paper's package does (its formula, not the package); ours;
the labels alone by Wilson. Saving is 1 - (mean width of ours / of labels)², both over the studies where the judge is not
refused. The bar, 93 to 97% coverage and 35% fewer labels, is held against the judge that calibration calls usable, at the
share that LLMBar has; other cells are printed, and those that miss it are marked. Monte Carlo error at 3,000 studies:
0.8 points (two standard errors).

Run: `python benchmarks/judges.py --verdicts ../shared/data/llmbar/llmbar.jsonl [--quick] [--json FILE]`.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perdure.core.stats import proportion_interval
from perdure.core.stats.agreement import agreement, informedness_interval, usable_by
from perdure.core.stats.biases import position_bias
from perdure.core.stats.choosing import chosen_mean, drawn, inclusion, uncertainty
from perdure.core.stats.corrected import CONFIDENCE, Corrected, correct, power_tuned
from perdure.core.stats.distributions import normal_quantile

Floats = NDArray[np.float64]

N_OTHERS = 2_000
OWN_SHARE = 0.0
"""Stands for the share that the file itself has."""
COVERS = (0.93, 0.97)
SAVES = 0.35


@dataclass(frozen=True, slots=True)
class Verdicts:
    """The file, as arrays."""

    truth: Floats
    """1 where people prefer the first answer."""
    judged: dict[str, Floats]
    """Of each model: 1, 0, or ½ where the two orders disagree or one did not parse."""
    picks: dict[str, tuple[NDArray[np.int64], NDArray[np.int64]]]


def read(path: Path) -> Verdicts:
    """The verdicts of a file."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    truth = np.array([float(row["human"] == 1) for row in rows])
    picks = {
        name: tuple(
            np.array([int(row["verdicts"][name][k]) if row["verdicts"][name][k] in ("1", "2") else 0 for row in rows])
            for k in (0, 1)
        )
        for name in rows[0]["verdicts"]
    }
    worth = np.array([0.5, 1.0, 0.0])
    judged = {name: (worth[both[0]] + worth[both[1]]) / 2.0 for name, both in picks.items()}
    return Verdicts(truth, judged, picks)  # type: ignore[arg-type]


def resampled(truth: Floats, share: float, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Rows drawn with replacement so that the first answer is better in `share` of them."""
    good, bad = np.flatnonzero(truth == 1.0), np.flatnonzero(truth == 0.0)
    return np.where(rng.random(n) < share, rng.choice(good, n), rng.choice(bad, n))


@dataclass(slots=True)
class Tally:
    """Coverage and width of one way."""

    hits: int = 0
    width: float = 0.0
    n: int = 0

    def add(self, low: float, high: float, truth: float) -> None:
        """One study."""
        self.hits += low <= truth <= high
        self.width += high - low
        self.n += 1

    @property
    def covers(self) -> float:
        """Share of studies whose interval holds the truth."""
        return self.hits / self.n if self.n else math.nan

    @property
    def mean_width(self) -> float:
        """Mean width."""
        return self.width / self.n if self.n else math.nan


def textbook(labels: Floats, own: Floats, others: Floats) -> tuple[float, float]:
    """PPI++ with a normal quantile and no correction of degrees of freedom."""
    found = power_tuned(labels, own, others)
    errors = labels - found.trust * own
    variance = found.trust**2 * float(others.var()) / len(others) + float(errors.var()) / len(labels)
    half = normal_quantile(0.5 + CONFIDENCE / 2.0) * math.sqrt(variance)
    return found.value - half, found.value + half


def cell(data: Verdicts, name: str, share: float, n: int, n_studies: int, seed: int) -> dict[str, Any]:
    """Studies of one judge, share and number of labels."""
    rng = np.random.default_rng(seed)
    truth, judged = data.truth, data.judged[name]
    share = share or float(truth.mean())
    ways = {each: Tally() for each in ("judge alone", "textbook PPI++", "ours", "labels alone")}
    n_refused = 0
    for _ in range(n_studies):
        at = resampled(truth, share, n + N_OTHERS, rng)
        labels, own, others = truth[at[:n]], judged[at[:n]], judged[at[n:]]
        found = correct(labels, own, others)
        alone = proportion_interval(int(labels.sum()), n)
        ways["judge alone"].add(found.raw.low, found.raw.high, share)
        ways["textbook PPI++"].add(*textbook(labels, own, others), share)
        if found.corrected is None:
            n_refused += 1
            continue
        ways["ours"].add(found.corrected.low, found.corrected.high, share)
        ways["labels alone"].add(alone.low, alone.high, share)
    saving = 1.0 - (ways["ours"].mean_width / ways["labels alone"].mean_width) ** 2
    covers = {each: tally.covers for each, tally in ways.items()}
    return {"judge": name, "share": share, "n": n, "refused": n_refused / n_studies, "saving": saving, "covers": covers}


def shifted_cell(
    data: Verdicts, name: str, shares: tuple[float, float], n: int, n_studies: int, seed: int
) -> dict[str, Any]:
    """Labels at one share, traffic at another."""
    rng = np.random.default_rng(seed)
    truth, judged = data.truth, data.judged[name]
    ours, unshifted, n_refused = Tally(), Tally(), 0
    for _ in range(n_studies):
        at, now = resampled(truth, shares[0], n, rng), resampled(truth, shares[1], N_OTHERS, rng)
        found: Corrected = correct(truth[at], judged[at], judged[now], shifted=True)
        if found.corrected is None:
            n_refused += 1
            continue
        ours.add(found.corrected.low, found.corrected.high, shares[1])
        plain = correct(truth[at], judged[at], judged[now]).corrected
        if plain is not None:
            unshifted.add(plain.low, plain.high, shares[1])
    refused = n_refused / n_studies
    covers = {"rogan-gladen": ours.covers, "ppi++": unshifted.covers}
    return {"judge": name, "shares": shares, "n": n, "refused": refused, "covers": covers, "width": ours.mean_width}


def chosen_cell(data: Verdicts, name: str, n: int, n_studies: int, seed: int) -> dict[str, Any]:
    """Labels given by learned uncertainty (score of the judge and of a panel), beside chance."""
    rng = np.random.default_rng(seed)
    truth, judged = data.truth, data.judged[name]
    share, others = float(truth.mean()), [each for key, each in data.judged.items() if key != name]
    apart = np.abs(judged - np.mean(others, axis=0))
    bins = np.digitize(apart, np.quantile(apart, [0.25, 0.5, 0.75])) + 4 * (judged == 0.5)
    ways = {each: Tally() for each in ("learned", "chance", "labels")}
    for study in range(n_studies):
        at, anchor = resampled(truth, share, N_OTHERS, rng), resampled(truth, share, 100, rng)
        trust = power_tuned(truth[anchor], judged[anchor], judged[at]).trust
        guesses = float(truth[anchor].mean()) + trust * (judged - float(judged[anchor].mean()))
        guess = uncertainty(truth[anchor], guesses[anchor], bins[anchor], bins[at])
        for way, score in (("learned", guess), ("chance", np.ones(N_OTHERS))):
            odds = inclusion(score, n)
            chosen = drawn(odds, seed + study)
            found = chosen_mean(guesses[at], truth[at], chosen, odds)
            ways[way].add(found.low, found.high, share)
        alone = proportion_interval(int(truth[at[:n]].sum()), n)
        ways["labels"].add(alone.low, alone.high, share)
    saving = {way: 1.0 - (ways[way].mean_width / ways["labels"].mean_width) ** 2 for way in ("learned", "chance")}
    return {"judge": name, "n": n, "saving": saving, "covers": {way: ways[way].covers for way in saving}}


def refusals(data: Verdicts, n: int, n_studies: int, seed: int) -> dict[str, float]:
    """How often each judge is refused."""
    rng, found = np.random.default_rng(seed), {}
    for name, judged in data.judged.items():
        n_refused = 0
        for _ in range(n_studies):
            at = rng.integers(0, len(judged), n)
            informedness, low = informedness_interval(data.truth[at], judged[at])
            n_refused += usable_by(informedness, low, n) == "refused"
        found[name] = n_refused / n_studies
    return found


def print_judges(data: Verdicts) -> None:
    """What calibration says of each judge."""
    for name, judged in data.judged.items():
        found, order = agreement(data.truth, judged), position_bias(*data.picks[name])
        kappa = "undefined" if found.kappa is None else f"{found.kappa.value:.2f}"
        flips = "none parsed" if order.flips is None else f"{order.flips.value:.0%}"
        sides = f"first:second {order.n_first}:{order.n_second} (p {order.p:.2g}), {order.n_unparsed} not parsed"
        j = "?" if found.informedness is None else f"{found.informedness.value:+.2f}"
        print(
            f"{name:14s} {found.usable:8s} accuracy {found.accuracy.value:.0%} kappa {kappa} informedness {j} flips {flips} {sides}"
        )


def judged_cell(found: dict[str, Any]) -> str:
    """Whether a cell meets the bar."""
    covers = COVERS[0] <= found["covers"]["ours"] <= COVERS[1]
    return " ".join(
        word for word, bad in (("COVERAGE MISSES", not covers), ("SAVING MISSES", found["saving"] < SAVES)) if bad
    )


def print_cells(cells: Sequence[dict[str, Any]]) -> None:
    """The table of coverage."""
    for found in cells:
        covers = " ".join(f"{way} {value:.1%}" for way, value in found["covers"].items())
        where = f"{found['judge']:6s} share {found['share']:.2f} n {found['n']:3d}"
        print(f"{where}: {covers} | saves {found['saving']:.0%} refused {found['refused']:.1%} {judged_cell(found)}")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--verdicts", type=Path, default=Path("../shared/data/llmbar/llmbar.jsonl"))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    data, n_studies = read(options.verdicts), 200 if options.quick else 3_000
    print_judges(data)
    cells = [
        cell(data, name, share, n, n_studies, 1)
        for name in ("GPT-4", "PaLM2")
        for share in (OWN_SHARE, 0.8, 0.9)
        for n in (50, 200)
    ]
    print_cells(cells)
    moves = ((0.5, 0.2), (0.5, 0.9), (0.8, 0.3))
    shifted = [
        shifted_cell(data, name, move, n, n_studies, 2)
        for name in ("GPT-4", "PaLM2")
        for move in moves
        for n in (50, 200)
    ]
    for found in shifted:
        covers = " ".join(f"{way} {value:.1%}" for way, value in found["covers"].items())
        short = "" if found["covers"]["rogan-gladen"] >= COVERS[0] else " COVERAGE MISSES"
        print(
            f"{found['judge']:6s} labels at {found['shares'][0]} traffic at {found['shares'][1]} n {found['n']:3d}: {covers}{short}"
        )
    chosen = [chosen_cell(data, "GPT-4", n, n_studies // 3, 3) for n in (50, 200)]
    for found in chosen:
        print(f"labels chosen, n {found['n']}: saving {found['saving']} coverage {found['covers']}")
    refused = {n: refusals(data, n, n_studies, 4) for n in (50, 200)}
    for n, shares in refused.items():
        print(f"refused at n {n}: " + " ".join(f"{name} {value:.1%}" for name, value in shares.items()))
    if options.json:
        options.json.write_text(json.dumps(_written(cells, shifted), indent=1), encoding="utf-8")


def _written(cells: Sequence[dict[str, Any]], shifted: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The rows: widths beside labels alone as labels needed, and coverage held."""
    own = [each for each in cells if each["judge"] == "GPT-4" and 0.4 < each["share"] < 0.6]
    rows = [
        {
            "what": f"labels needed for an interval as wide, share {each['share']:.2f}, n {each['n']}, {each['judge']}, against labels alone",
            "ours": each["n"] * (1.0 - each["saving"]),
            "peer": each["n"],
            "unit": "labels",
            "ratio": 1.0 / (1.0 - each["saving"]),
        }
        for each in cells
    ]
    held = all(COVERS[0] <= each["covers"]["ours"] <= COVERS[1] and each["saving"] >= SAVES for each in own)
    sound = all(each["covers"]["rogan-gladen"] >= COVERS[0] for each in shifted)
    return {"bench": "judges", "agree": held and sound, "rows": rows, "cells": list(cells), "shifted": list(shifted)}


if __name__ == "__main__":
    main()

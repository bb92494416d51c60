"""Whether figures of a judge hold when people labelled rather the cases on which it errs: weighted, and by their plain count.

Traffic of 1,000 cases, of which a quarter is hard: the judge is right on 60% of these, on 95% of the others. Cases are drawn by
`inclusion` where it is hard or the judge says "bad", so up to five times as often. Counted is how often a 95% interval holds
what is true of a population of a million such cases. The bar: 93% at least, weighted.

Run: `python benchmarks/judges_drawn.py [--quick] [--json FILE]`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perdure.core.stats.agreement import agreement
from perdure.core.stats.choosing import inclusion
from perdure.core.stats.corrected import correct, correct_drawn
from perdure.core.stats.intervals import Interval

Floats = NDArray[np.float64]

N_CASES = 1_000
N_OTHERS = 2_000
COVERS = 0.93
ELSEWHERE = {0.5: 0.3, 0.8: 0.5}
"""Of each true share, that of the traffic to which labels drawn elsewhere are carried over."""


def cases(n: int, share: float, rng: np.random.Generator) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Truth, what the judge says, and which are hard."""
    truth = (rng.random(n) < share).astype(np.float64)
    hard = rng.random(n) < 0.25
    right = rng.random(n) < np.where(hard, 0.6, 0.95)
    return truth, np.where(right, truth, 1.0 - truth), hard


def study(share: float, n_labels: int, rng: np.random.Generator) -> dict[str, Interval | None]:
    """Every figure of one study."""
    truth, judged, hard = cases(N_CASES, share, rng)
    odds = inclusion(np.square(np.where(hard, 0.49, 0.22) + 0.1 * (judged == 0.0)), n_labels)
    at = np.flatnonzero(rng.random(N_CASES) < odds)
    labels, own, weights = truth[at], judged[at], 1.0 / odds[at]
    now = cases(N_OTHERS, share, rng)[1]
    elsewhere = cases(N_OTHERS, ELSEWHERE[share], rng)[1]
    found: dict[str, Interval | None] = {}
    for way, told in (("weighted", agreement(labels, own, weights=weights)), ("plain", agreement(labels, own))):
        for name in ("accuracy", "sensitivity", "specificity", "informedness"):
            found[f"{name}, {way}"] = getattr(told, name)
    same = np.concatenate([at, np.arange(N_CASES)])
    found["share of these cases, weighted"] = correct_drawn(labels, own, judged, weights, clusters=same).corrected
    found["share of these cases, plain"] = correct(labels, own, np.delete(judged, at)).corrected
    found["share of more traffic, weighted"] = correct_drawn(labels, own, now, weights).corrected
    found["share elsewhere, weighted"] = correct_drawn(labels, own, elsewhere, weights, shifted=True).corrected
    return found


def truths(share: float, rng: np.random.Generator) -> dict[str, float]:
    """What is true of the population."""
    truth, judged, _ = cases(1_000_000, share, rng)
    sensitivity, specificity = float(judged[truth == 1.0].mean()), 1.0 - float(judged[truth == 0.0].mean())
    return {
        "accuracy": 1.0 - float(np.abs(truth - judged).mean()),
        "sensitivity": sensitivity,
        "specificity": specificity,
        "informedness": sensitivity + specificity - 1.0,
        "share of these cases": share,
        "share of more traffic": share,
        "share elsewhere": ELSEWHERE[share],
    }


def cell(share: float, n_labels: int, n_studies: int, seed: int) -> dict[str, Any]:
    """Coverage of every figure."""
    rng = np.random.default_rng(seed)
    true, held, told = truths(share, rng), dict[str, int](), dict[str, int]()
    for _ in range(n_studies):
        for name, interval in study(share, n_labels, rng).items():
            if interval is not None:
                told[name] = told.get(name, 0) + 1
                held[name] = held.get(name, 0) + (interval.low <= true[name.split(",")[0]] <= interval.high)
    return {"share": share, "n": n_labels, "covers": {name: held[name] / n for name, n in told.items()}}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    n_studies = 100 if options.quick else 600
    cells = [cell(share, n, n_studies, 1) for share in ELSEWHERE for n in (50, 100, 200)]
    for found in cells:
        covers = " | ".join(f"{name} {value:.1%}" for name, value in found["covers"].items())
        print(f"share {found['share']} labels {found['n']:3d}: {covers}")
    if options.json:
        options.json.write_text(json.dumps(_written(cells), indent=1), encoding="utf-8")


def _written(cells: list[dict[str, Any]]) -> dict[str, Any]:
    rows = [
        {
            "what": f"coverage of {name} at share {each['share']}, {each['n']} labels, against their plain count",
            "ours": each["covers"][f"{name}, weighted"],
            "peer": each["covers"][f"{name}, plain"],
            "unit": "share",
            "ratio": each["covers"][f"{name}, weighted"] / max(each["covers"][f"{name}, plain"], 1e-9),
        }
        for each in cells
        for name in ("accuracy", "informedness")
    ]
    sound = all(v >= COVERS for each in cells for name, v in each["covers"].items() if name.endswith("weighted"))
    return {"bench": "judges_drawn", "agree": sound, "rows": rows, "cells": cells}


if __name__ == "__main__":
    main()

"""How often the promotion gate errs, and whether a plan has the power that it promises.

Null: two versions that are equal on average, though not on each cluster of cases. Clusters of 1 to 12 cases, 3 samples of
each answer, four looks with early stopping. A promotion is wrong whenever the verdict is "better". The bar: at most 5% of
2,000 comparisons. Beside it, naive ways on the same worlds: rows, cases or clusters as units of a t test at the end, and
a plain 95% interval over clusters looked at 4 times.

Then: ten null edits in a row, each spending its share of the error, against 5% each; clusters that all agree but for a few
(rare discordant cases); five rivals by Bonferroni; three suites, any of which promotes, by Bonferroni.

Power: a pilot of 10, 20 or 40 clusters cannot tell, and says about how many more cases would; a fresh run of so many in all, 4
looks, is then held against the planned 80%, on average over pilots. Clusters are single cases, 1 to 12 cases, or a few heavy ones
among many small; the pilot's versions are equal, or differ as those of the run do (then only pilots that do not conclude are
asked). Beside it plans from the true variance, and from the pilot's upper 80% bound. The bar: within 5 points, in each cell.

Run: `python benchmarks/evals_gate.py [--quick] [--json FILE]`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perdure.core.stats.clustered import clustered_interval
from perdure.core.stats.multiple import attempt_alpha
from perdure.core.stats.power import clusters_needed
from perdure.core.stats.tails import chi2_quantile
from perdure.core.stats.verdicts import Compared, Plan, compare
from perdure.core.verdict import Comparison

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

N_SAMPLES = 3
N_LOOKS = 4
DIFFERENCE = 0.06
MARGIN = 0.02
BAR = 0.05
PILOTS = (10, 20, 40)
STRUCTURES = {
    "single cases": lambda n, _: np.ones(n, dtype=np.int64),
    "1 to 12 cases": lambda n, rng: rng.integers(1, 13, n),
    "a few heavy": lambda n, rng: np.minimum(40, np.ceil(rng.lognormal(0.5, 1.0, n))).astype(np.int64),
}
"""How many cases each cluster has."""


@dataclass(frozen=True, slots=True)
class World:
    """One comparison: the scores of each sample of both versions."""

    candidate: Floats
    incumbent: Floats
    clusters: Ints

    @property
    def differences(self) -> Floats:
        """One a case."""
        found: Floats = self.candidate.mean(axis=1) - self.incumbent.mean(axis=1)
        return found


def world(n_clusters: int, gain: float, rng: np.random.Generator, *, structure: str = "1 to 12 cases") -> World:
    """Cases of differing difficulty in unequal clusters; each cluster favours one version a little."""
    clusters = np.repeat(np.arange(n_clusters), STRUCTURES[structure](n_clusters, rng))
    favour = rng.normal(0.0, 0.12, n_clusters)[clusters]
    base = np.clip(0.7 + rng.normal(0.0, 0.2, len(clusters)), 0.02, 0.98)
    sides = [np.clip(base + sign * favour / 2.0 + plus, 0.01, 0.99) for sign, plus in ((1.0, gain), (-1.0, 0.0))]
    first, second = (rng.binomial(1, side[:, None], (len(clusters), N_SAMPLES)).astype(np.float64) for side in sides)
    return World(first, second, clusters)


def looks(of: World, plan: Plan) -> Iterator[Compared]:
    """The verdict at each look until one concludes."""
    for look in range(1, plan.n_looks + 1):
        seen = of.clusters < round(look / plan.n_looks * plan.planned)
        found = compare(of.differences[seen], of.clusters[seen], plan, look=look)
        yield found
        if found.comparison in (Comparison.BETTER, Comparison.WORSE):
            return


def verdict(of: World, n_clusters: int, alpha: float = 0.05) -> Compared:
    """The last one."""
    return list(looks(of, Plan(0.02, DIFFERENCE, n_clusters, N_LOOKS, alpha)))[-1]


def null_row(n_clusters: int, n_worlds: int, seed: int) -> dict[str, Any]:
    """Wrong promotions of the gate and of naive ways on the same worlds."""
    rng, wrong = np.random.default_rng(seed), dict.fromkeys(("gate", "rows", "cases", "clusters", "peeking"), 0)
    n_worse = 0
    for _ in range(n_worlds):
        of = world(n_clusters, 0.0, rng)
        found = verdict(of, n_clusters).comparison
        wrong["gate"] += found is Comparison.BETTER
        n_worse += found is Comparison.WORSE
        each = (of.candidate - of.incumbent).ravel()
        wrong["rows"] += clustered_interval(each).low > 0.0
        wrong["cases"] += clustered_interval(of.differences).low > 0.0
        wrong["clusters"] += clustered_interval(of.differences, of.clusters).low > 0.0
        parts = [of.clusters < max(2, round(k / N_LOOKS * n_clusters)) for k in range(1, N_LOOKS + 1)]
        wrong["peeking"] += any(clustered_interval(of.differences[at], of.clusters[at]).low > 0.0 for at in parts)
    shares = {way: n / n_worlds for way, n in wrong.items()}
    return {"clusters": n_clusters, "promoted": shares, "called_worse": n_worse / n_worlds}


def series_row(n_series: int, seed: int, *, n_edits: int = 10, n_clusters: int = 40) -> dict[str, float]:
    """Series of null edits on one suite: how many promote at least once."""
    rng, spending, naive = np.random.default_rng(seed), 0, 0
    for _ in range(n_series):
        worlds = [world(n_clusters, 0.0, rng) for _ in range(n_edits)]
        better = Comparison.BETTER
        spending += any(
            verdict(of, n_clusters, attempt_alpha(k)).comparison is better for k, of in enumerate(worlds, start=1)
        )
        naive += any(verdict(of, n_clusters).comparison is better for of in worlds)
    return {"spending": spending / n_series, "each at 5%": naive / n_series}


def several_row(n_several: int, n_worlds: int, seed: int, *, n_clusters: int = 40) -> float:
    """Several rivals or suites, each at its share of the error, any of which promotes."""
    rng = np.random.default_rng(seed)
    n_wrong = 0
    for _ in range(n_worlds):
        each = (verdict(world(n_clusters, 0.0, rng), n_clusters, 0.05 / n_several) for _ in range(n_several))
        n_wrong += any(found.comparison is Comparison.BETTER for found in list(each))
    return n_wrong / n_worlds


def rare_row(n_clusters: int, n_worlds: int, seed: int, *, discordant: float = 0.04) -> dict[str, float]:
    """Single pass-or-fail cases, of which hardly any differ: wrong promotions, and equivalences that are none."""
    rng, n_wrong, n_equal = np.random.default_rng(seed), 0, 0
    clusters, plan = np.arange(n_clusters), Plan(0.02, 0.03, n_clusters, N_LOOKS)
    for _ in range(n_worlds):
        differs = rng.random(n_clusters) < discordant
        n_wrong += (
            list(
                looks(
                    World(
                        _column(differs * rng.choice([-1.0, 1.0], n_clusters)), _column(np.zeros(n_clusters)), clusters
                    ),
                    plan,
                )
            )[-1].comparison
            is Comparison.BETTER
        )
        lost = -(rng.random(n_clusters) < plan.margin).astype(np.float64)
        n_equal += compare(lost, clusters, plan, look=N_LOOKS).comparison is Comparison.EQUIVALENT
    return {"promoted": n_wrong / n_worlds, "called equivalent at a true loss of the margin": n_equal / n_worlds}


def _column(values: Floats) -> Floats:
    return np.asarray(values, dtype=np.float64)[:, None]


def _variance(of: World) -> float:
    """Of what the mean is made of, a cluster: n clusters times the squared error of the mean."""
    n_clusters = int(of.clusters.max()) + 1
    sizes = np.bincount(of.clusters)
    residuals = np.bincount(of.clusters, weights=of.differences - of.differences.mean()) / sizes.mean()
    return float(np.square(residuals).sum()) / (n_clusters - 1)


def known_row(structure: str, n_worlds: int, seed: int) -> dict[str, Any]:
    """Worlds with a true gain, planned from the true variance."""
    rng = np.random.default_rng(seed)
    variance, gain = _truth(structure)
    n_clusters = _quartered(clusters_needed(gain, variance, n_looks=N_LOOKS))
    told = [verdict(world(n_clusters, DIFFERENCE, rng, structure=structure), n_clusters) for _ in range(n_worlds)]
    return _power_told(structure, "the true variance", [(each, n_clusters) for each in told])


def advised_row(structure: str, n_pilot: int, *, equal: bool, n_worlds: int, seed: int) -> dict[str, Any]:
    """Worlds with a true gain, each as large as its own pilot's verdict advises, in words of `perdure eval compare`."""
    rng = np.random.default_rng(seed)
    gain = _truth(structure)[1]
    plan, told = Plan(MARGIN, gain, n_pilot, N_LOOKS), []
    for _ in range(n_worlds):
        n_clusters = None
        while n_clusters is None:
            pilot = world(n_pilot, 0.0 if equal else DIFFERENCE, rng, structure=structure)
            found = compare(pilot.differences, pilot.clusters, plan, look=N_LOOKS)
            if found.n_more is not None and "-point difference" in found.text:
                n_clusters = _quartered(n_pilot + found.n_more * n_pilot / len(pilot.differences))
        told.append((verdict(world(n_clusters, DIFFERENCE, rng, structure=structure), n_clusters), n_clusters))
    return _power_told(structure, f"a pilot of {n_pilot}, {'equal' if equal else 'differing'} versions", told)


def upper_row(structure: str, n_pilot: int, n_worlds: int, seed: int) -> dict[str, Any]:
    """The same by the pilot's one-sided upper 80% bound: what buys certainty with clusters."""
    rng = np.random.default_rng(seed)
    gain, told = _truth(structure)[1], []
    for _ in range(n_worlds):
        seen = _variance(world(n_pilot, 0.0, rng, structure=structure))
        upper = (n_pilot - 1) * seen / chi2_quantile(0.2, n_pilot - 1)
        n_clusters = _quartered(clusters_needed(gain, upper, n_looks=N_LOOKS))
        told.append((verdict(world(n_clusters, DIFFERENCE, rng, structure=structure), n_clusters), n_clusters))
    return _power_told(structure, f"a pilot of {n_pilot}, upper 80% bound", told)


def _quartered(n_clusters: float) -> int:
    """To the nearest number of which a quarter is whole: the bounds of its looks are then solved once for all."""
    return N_LOOKS * round(n_clusters / N_LOOKS)


@lru_cache
def _truth(structure: str) -> tuple[float, float]:
    """Variance of a cluster, and gain."""
    large = world(200_000, DIFFERENCE, np.random.default_rng(7), structure=structure)
    return _variance(large), float(large.differences.mean())


def _power_told(structure: str, how: str, told: list[tuple[Compared, int]]) -> dict[str, Any]:
    power = float(np.mean([each.comparison is Comparison.BETTER for each, _ in told]))
    planned, used = (float(np.mean(each)) for each in ([n for _, n in told], [found.n_clusters for found, _ in told]))
    return {"structure": structure, "how": how, "power": power, "planned": planned, "used": used, "n": len(told)}


def powers(n_worlds: int) -> list[dict[str, Any]]:
    """Every row of power."""
    rows = []
    for place, structure in enumerate(STRUCTURES):
        rows.append(known_row(structure, n_worlds, 70 + place))
        for n_pilot in PILOTS:
            for equal in (True, False):
                seed = 1_000 + 100 * place + n_pilot + equal
                rows.append(advised_row(structure, n_pilot, equal=equal, n_worlds=n_worlds, seed=seed))
    rows.append(upper_row("1 to 12 cases", 20, n_worlds, 90))
    return rows


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    n_worlds = 200 if options.quick else 2_000
    nulls = [null_row(n, n_worlds, 10 + n) for n in (8, 12, 30, 100)]
    for row in nulls:
        told = " ".join(f"{way} {value:.1%}" for way, value in row["promoted"].items())
        miss = " MISSES" if row["promoted"]["gate"] > BAR else ""
        print(f"null, {row['clusters']:3d} clusters: promoted {told} | called worse {row['called_worse']:.1%}{miss}")
    rare = [rare_row(n, n_worlds, 30 + n) for n in (100, 400)]
    for n, each in zip((100, 400), rare, strict=True):
        print(f"rarely different, {n} cases: " + ", ".join(f"{way} {value:.1%}" for way, value in each.items()))
    series = series_row(n_worlds // 4, 50)
    print("10 null edits in a row: " + " ".join(f"{way} {value:.1%}" for way, value in series.items()))
    several = {n: several_row(n, n_worlds // 2, 60 + n) for n in (3, 5)}
    print("any of several: " + " ".join(f"{n}: {value:.1%}" for n, value in several.items()))
    power = powers(n_worlds // 2)
    for row in power:
        miss = " MISSES" if "upper" not in row["how"] and abs(row["power"] - 0.8) > BAR else ""
        told = f"{row['power']:.1%} with {row['planned']:.0f} clusters planned, {row['used']:.0f} used"
        print(f"power, {row['structure']}, {row['how']}: {told}{miss}")
    if options.json:
        options.json.write_text(
            json.dumps(_written((nulls, power), {"rare": rare, "series": series, "several": several}), indent=1),
            encoding="utf-8",
        )


def _written(rows_of: tuple[list[dict[str, Any]], list[dict[str, Any]]], also: dict[str, Any]) -> dict[str, Any]:
    nulls, power = rows_of
    rows = [
        {
            "what": f"wrong promotions of {row['clusters']} clusters against rows as units",
            "ours": row["promoted"]["gate"],
            "peer": row["promoted"]["rows"],
            "unit": "share",
            "ratio": row["promoted"]["rows"] / max(row["promoted"]["gate"], 1e-9),
        }
        for row in nulls
    ]
    planned = [row for row in power if "upper" not in row["how"]]
    sound = all(row["promoted"]["gate"] <= BAR for row in nulls) and all(abs(r["power"] - 0.8) <= BAR for r in planned)
    return {"bench": "evals_gate", "agree": sound, "rows": rows, "nulls": nulls, "power": power, **also}


if __name__ == "__main__":
    main()

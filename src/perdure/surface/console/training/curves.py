"""Curves of trainings as pictures: a picture a metric, in it a line for each part of the rows (and, compared, for each run).

Their keys are as the library called them: `valid_0.l1` is the metric `l1` of the rows `valid_0`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from perdure.surface.console.records import Picture, Series
from perdure.surface.console.thinning import thin

ACROSS = "round"
_MOST_LINES = 8
"""So many colours there are."""


def curves_of(facts: Mapping[str, Any]) -> dict[str, dict[str, list[float | None]]]:
    """Metric → part of the rows → its values, a round each; what is no list of numbers is left out.

    >>> curves_of({"curves": {"training.l1": [3.0, 2.0], "valid_0.l1": [4.0, 3.0], "loss_curve": [1.0]}})
    {'l1': {'training': [3.0, 2.0], 'valid_0': [4.0, 3.0]}, 'loss_curve': {'': [1.0]}}
    """
    found: dict[str, dict[str, list[float | None]]] = {}
    curves = facts.get("curves")
    for key, values in curves.items() if isinstance(curves, Mapping) else ():
        if isinstance(values, Sequence) and not isinstance(values, str) and values:
            part, _, metric = key.rpartition(".")
            found.setdefault(metric, {})[part] = [
                float(each) if isinstance(each, int | float) else None for each in values
            ]
    return found


def pictures(runs: Sequence[tuple[str, Mapping[str, Any]]]) -> tuple[Picture, ...]:
    """A picture for each metric that a run has a curve of.

    Args:
        runs: of each its name in the legend (empty for one alone) and its facts.
    """
    told = [(name, curves_of(facts)) for name, facts in runs]
    metrics = sorted({metric for _, curves in told for metric in curves})
    return tuple(_picture(k, metric, told) for k, metric in enumerate(metrics))


def _picture(
    place: int, metric: str, told: Sequence[tuple[str, Mapping[str, Mapping[str, Sequence[float | None]]]]]
) -> Picture:
    lines = [(name, part, values) for name, curves in told for part, values in sorted(curves.get(metric, {}).items())]
    validation = [line for line in lines if "valid" in line[1]]
    if len(lines) > _MOST_LINES and validation:
        lines = validation
    lines = lines[:_MOST_LINES]
    n = max(len(values) for _, _, values in lines)
    series = [
        Series(" ".join(word for word in (name, part) if word) or metric, (*values, *[None] * (n - len(values))))
        for name, part, values in lines
    ]
    whole = Picture(f"curve-{place}", f"{metric} by {ACROSS}", "", tuple(range(1, n + 1)), tuple(series), across=ACROSS)
    return thin(whole)

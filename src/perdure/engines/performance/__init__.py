"""How good a model is on the labels that came, with intervals and by slice; how late they come.

`metrics` names what can be measured, `measure` does it, `delay` summarises label delay.
"""

from __future__ import annotations

from perdure.engines.performance.delay import DelaySummary, delay_summary
from perdure.engines.performance.measure import MIN_ROWS, Estimate, measure
from perdure.engines.performance.metrics import Metric, get_metric, list_metrics, register

__all__ = [
    "MIN_ROWS",
    "DelaySummary",
    "Estimate",
    "Metric",
    "delay_summary",
    "get_metric",
    "list_metrics",
    "measure",
    "register",
]

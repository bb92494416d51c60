"""The health language's records: readings, findings, verdicts, incidents. Plain frozen data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from perdure.core.verdict import Comparison

__all__ = ["Cause", "Comparison", "Finding", "Reading", "State", "Verdict"]


class State(StrEnum):
    """What a reading says of its objective."""

    HEALTHY = "healthy"
    BROKEN = "broken"
    UNSURE = "unsure"
    """Not enough evidence: too few rows, or the interval holds the bound."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One measured value with its interval, size and window.

    `value`, `low` and `high` are None when nothing could be measured (then `n` says how little
    there was). `slice` is empty for all rows, else `column=value`.
    """

    asset: str
    signal: str
    at: datetime
    window_start: datetime
    window_end: datetime
    value: float | None
    low: float | None
    high: float | None
    n: int
    unit: str
    slice: str = ""
    version: str = ""
    """Version that was measured; empty for assets without versions."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What the value rests on, JSON-compatible, such as drift by feature."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A reading judged against the objective it was taken for."""

    asset: str
    objective: str
    """The objective in words, such as `mae over 7d <= 9.0`."""
    state: State
    reading: Reading


@dataclass(frozen=True, slots=True)
class Cause:
    """One possible cause of an incident, with what speaks for it."""

    name: str
    weight: float
    """0 to 1; the causes of a diagnosis are ranked by it."""
    evidence: Mapping[str, Any]
    text: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """A gate's word on a candidate, and what it rests on."""

    gate: str
    comparison: Comparison
    passed: bool
    text: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    gain: float = 0.0
    """How much better, in the gate's unit: among candidates that pass, the largest sum of gains wins."""

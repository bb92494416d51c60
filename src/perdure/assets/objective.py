"""Objectives: what healthy means. A signal, a bound, a window, a slice, how sure to be.

    mae(over=days(7)) <= 9.0
    mae(over=days(7), by="origin") <= 12.0
    drift(against="training", over=days(7)).unharmful()
    latency_ms(quantile=0.99, over=minutes(10)) <= 20

A signal here is a request to measure; what measures it is registered under its name by the kind of
the asset. An unknown name is told by `check`, with the nearest known one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Literal

from perdure.assets.health import Finding, Reading, State
from perdure.core.errors import BadObjective
from perdure.core.units import days, duration_text

USUAL_CONFIDENCE = 0.95
Operator = Literal["<=", ">=", "unharmful"]


@dataclass(frozen=True, slots=True, eq=False)
class SignalSpec:
    """What to measure: a signal's name, window, slice column and parameters.

    Compare it with a number to get an objective: `mae(over=days(7)) <= 9.0`.
    """

    signal: str
    over: timedelta
    by: str | None = None
    params: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    series: str = ""
    """Name under which its readings are kept; the signal's own unless a parameter makes it another."""
    confidence: float = USUAL_CONFIDENCE
    """Of the interval of each reading, two-sided."""

    def __post_init__(self) -> None:
        if not self.series:
            object.__setattr__(self, "series", self.signal)
        if self.over <= timedelta(0):
            raise BadObjective(f"The window of {self.signal} is {self.over}, but it must be longer than zero.")

    def __le__(self, bound: float) -> Objective:
        return Objective(self, "<=", float(bound))

    def __ge__(self, bound: float) -> Objective:
        return Objective(self, ">=", float(bound))

    def __bool__(self) -> bool:
        raise BadObjective(f"{self.text()} has no truth value.", hint="Write one comparison, such as `mae(...) <= 9`.")

    def unharmful(self) -> Objective:
        """Healthy as long as what moved does not make the asset worse."""
        return Objective(self, "unharmful", None)

    def text(self) -> str:
        """In words, such as `mae over 7d by origin`."""
        params = "".join(f" {key}={value}" for key, value in sorted(self.params.items()))
        return f"{self.signal}{params} over {duration_text(self.over)}" + (f" by {self.by}" if self.by else "")


@dataclass(frozen=True, slots=True)
class Objective:
    """A signal with its bound: what healthy means, to whom, and how sure to be."""

    spec: SignalSpec
    operator: Operator
    bound: float | None
    stakeholder: str = ""

    @property
    def confidence(self) -> float:
        """Of the interval that is judged."""
        return self.spec.confidence

    def sure(self, confidence: float) -> Objective:
        """The same objective, measured and judged at another confidence (0.5 to 1, exclusive)."""
        if not 0.5 < confidence < 1.0:
            raise BadObjective(
                f"A confidence of {confidence!r} means nothing here.", hint="Use 0.5 to 1, such as 0.95."
            )
        series = f"{self.spec.series.partition('@')[0]}@{confidence:g}"
        return replace(self, spec=replace(self.spec, confidence=confidence, series=series))

    def owed_to(self, stakeholder: str) -> Objective:
        """The same objective with the stakeholder whose interest it is."""
        return replace(self, stakeholder=stakeholder)

    def text(self) -> str:
        """In words, such as `mae over 7d <= 9`."""
        bound = "" if self.bound is None else f" {self.bound:g}"
        sure = "" if self.confidence == USUAL_CONFIDENCE else f" at {self.confidence:g}"
        return f"{self.spec.text()} {self.operator}{bound}{sure}"

    def measured_by(self, reading: Reading) -> bool:
        """True when the reading is of this objective's signal, window and slice."""
        spec = self.spec
        part = reading.slice.startswith(f"{spec.by}=") if spec.by else reading.slice == ""
        return reading.signal == spec.series and part and reading.window_end - reading.window_start == spec.over

    def judge(self, reading: Reading) -> Finding:
        """Broken only when the whole interval is past the bound; unsure when it holds the bound.

        An `unharmful` objective is healthy while the reading's own fact `harm` is not positive for
        sure; a reading without `harm` never breaks it: drift alone is noted, not acted on.
        """
        return Finding(reading.asset, self.text(), self._state(reading), reading)

    def _state(self, reading: Reading) -> State:
        if self.bound is None:
            return State.BROKEN if float(reading.facts.get("harm_low", 0.0)) > 0.0 else State.HEALTHY
        if reading.value is None:
            return State.UNSURE
        low = reading.value if reading.low is None else reading.low
        high = reading.value if reading.high is None else reading.high
        inside, outside = (high <= self.bound, low > self.bound)
        if self.operator == ">=":
            inside, outside = (low >= self.bound, high < self.bound)
        if outside:
            return State.BROKEN
        return State.HEALTHY if inside else State.UNSURE


def mae(*, over: timedelta, by: str | None = None) -> SignalSpec:
    """Mean absolute error against labels, in the label's unit."""
    return SignalSpec("mae", over, by)


def rmse(*, over: timedelta, by: str | None = None) -> SignalSpec:
    """Root mean squared error against labels, in the label's unit."""
    return SignalSpec("rmse", over, by)


def bias(*, over: timedelta, by: str | None = None) -> SignalSpec:
    """Mean of prediction minus label, in the label's unit."""
    return SignalSpec("bias", over, by)


def accuracy(*, over: timedelta, by: str | None = None) -> SignalSpec:
    """Share of predictions equal to their label, 0 to 1."""
    return SignalSpec("accuracy", over, by)


def drift(
    *, against: Literal["training"] = "training", over: timedelta, measure: Literal["psi", "js"] = "psi"
) -> SignalSpec:
    """The largest drift of any feature against the profile of training (PSI, or Jensen–Shannon distance)."""
    if (against, measure) not in (("training", "psi"), ("training", "js")):
        raise BadObjective(
            f"drift(against={against!r}, measure={measure!r}) means nothing.",
            hint="Use against='training' and measure='psi' or 'js'.",
        )
    params = MappingProxyType({"against": against, "measure": measure})
    return SignalSpec("drift", over, None, params, "drift" if measure == "psi" else f"drift_{measure}")


def skew(*, over: timedelta) -> SignalSpec:
    """Share of served feature vectors that differ from their offline recomputation, 0 to 1."""
    return SignalSpec("skew", over)


def latency_ms(*, quantile: float = 0.99, over: timedelta) -> SignalSpec:
    """A quantile of the server's time a request, in milliseconds."""
    if not 0.0 < quantile < 1.0:
        raise BadObjective(f"A quantile of {quantile!r} means nothing.", hint="Use 0 to 1, exclusive, such as 0.99.")
    params = MappingProxyType({"quantile": quantile})
    return SignalSpec("latency_ms", over, None, params, f"latency_ms_p{100 * quantile:g}")


def freshness_h(*, over: timedelta) -> SignalSpec:
    """Age of a source's newest row at the time of observing, in hours."""
    return SignalSpec("freshness_h", over)


def volume(*, over: timedelta) -> SignalSpec:
    """Rows a source delivered in the window."""
    return SignalSpec("volume", over)


def violations_ratio(*, over: timedelta) -> SignalSpec:
    """Share of a source's rows that broke their contract in the window, 0 to 1."""
    return SignalSpec("violations_ratio", over)


def off_profile(*, over: timedelta = days(1), reference: timedelta = days(60)) -> SignalSpec:
    """The largest share, over a source's columns, of values that its healthy past never had, 0 to 1.

    Args:
        over: the newest rows, by when they could be known.
        reference: the past before them that they are compared with; without quarantined rows.

    `off_profile() <= 0.05` breaks only when no healthy past explains the new values, such as after a change of unit.
    """
    if reference < 2 * over:
        raise BadObjective(
            f"A reference of {reference} is too short for windows of {over}.", hint="Use two windows at least."
        )
    params = MappingProxyType({"reference": duration_text(reference)})
    return SignalSpec("off_profile", over, None, params, "off_profile")

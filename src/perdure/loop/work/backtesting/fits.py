"""Candidates of a backtest: each is fitted once, by the model's own `fit`, whichever policies ask for it.

A fit is known by the rows it learns from and validates on, and by what it goes on from: two policies that
retrain at one instant share it, and so do two instants between which nothing new became known. Predictions are
those of the fitted object: nothing is compiled, as parity says that it would make no difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from perdure.assets.model import Model, TrainingData
from perdure.core.canonical import bytes_hash
from perdure.core.clock import cpu_s, to_us
from perdure.core.errors import BadModel, NotReady
from perdure.core.units import days, duration_text
from perdure.engines.features import FeaturePlan
from perdure.engines.performance import MIN_ROWS, get_metric
from perdure.engines.training.calibration import Calibration, fit_calibration
from perdure.engines.training.dataset import split_by_time
from perdure.engines.training.fitted import predict
from perdure.engines.training.training import train
from perdure.loop.work.backtesting.history import Float1D, History, Int1D, Mask
from perdure.loop.work.recalibrating import WINDOW
from perdure.loop.work.rows import AS_OF

_LEAST = 2


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A version as a backtest knows it, with what it answers to every row from `since` on."""

    number: int
    """In the order of making; 0 is the first version."""
    text: str
    made_at: datetime
    since: int
    """The first row that it was asked for: early enough for any gate or line later."""
    predictions: Float1D
    losses: Float1D
    fitted: Any
    plan: FeaturePlan
    cpu_s: float
    watermark_us: int
    used: Mask | None = None
    """Rows that it, or one it goes on from, was fitted on; kept in a stateful line only."""
    line: Calibration | None = None

    def of(self, rows: Int1D) -> Float1D:
        """Losses of rows by their positions."""
        return self.losses[rows - self.since]


@dataclass(frozen=True, slots=True, eq=False)
class _Wanted:
    """A fit that is asked for."""

    text: str
    at: datetime
    train: Mask
    valid: Mask
    watermark_us: int
    base: Candidate | None = None
    used: Mask | None = None


class Fits:
    """Makes candidates and keeps them."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.made: list[Candidate] = []
        self._known: dict[tuple[str, ...], Candidate | None] = {}
        task = history.model.task
        self._loss = get_metric("mae" if task == "regression" else "log_loss").row_loss

    def first(self, at: datetime) -> Candidate:
        """The version that `perdure train` makes at an instant: on all that is known, the newest 15% held out.

        Raises:
            NotReady: too few labelled rows are known by then.
            BadModel: the model's `fit` failed.
        """
        history = self.history
        known = history.known_by(at) & (history.as_of < to_us(at))
        if known.sum() < MIN_ROWS:
            raise NotReady(
                f"Model {history.model.name!r} has {int(known.sum())} labelled rows known by {at.isoformat()}.",
                hint="Begin later: give another start.",
            )
        border = split_by_time(history.rows.filter(pl.Series(known)), AS_OF)[1][AS_OF][0]
        older = known & (history.as_of < to_us(border))
        wanted = _Wanted("the first version", at, older, known & ~older, to_us(border), used=older)
        return self._made(wanted)

    def window(self, at: datetime, window: timedelta | None) -> Candidate | None:
        """Fitted anew on the newest window, or on all rows; None where there is too little to fit on."""
        text = "fit on all rows" if window is None else f"fit on the newest {duration_text(window)}"
        return self._find(self._on_window(text, at, window, None))

    def warm(self, at: datetime, window: timedelta | None, base: Candidate) -> Candidate | None:
        """Going on from another candidate, with the rows of a window."""
        return self._find(self._on_window(f"go on from {base.number}", at, window, base))

    def fresh(self, at: datetime, base: Candidate) -> Candidate | None:
        """Going on from another candidate of a stateful line, with rows that became known since; each is used once."""
        history, cut_us = self.history, to_us(self.history.holdout(at)[0])
        if base.used is None:
            return None
        train = ~base.used & (history.known >= base.watermark_us) & (history.known < cut_us)
        text, used = f"go on from {base.number}", base.used | train
        return self._find(_Wanted(text, at, train, self._valid(at), cut_us, base, used))

    def calibrated(self, at: datetime, base: Candidate) -> Candidate | None:
        """The answers of another candidate, put on the line of the newest week before the holdout."""
        history, cut = self.history, self.history.holdout(at)[0]
        rows = history.between(cut - WINDOW, cut, at)
        key = ("line", str(base.number), bytes_hash(rows.tobytes()))
        if key not in self._known:
            found = fit_calibration(base.predictions[rows - base.since], history.y[rows]) if _enough(rows) else None
            self._known[key] = None if found is None else self._on_line(base, found, at)
        return self._known[key]

    def _on_line(self, base: Candidate, found: Calibration, at: datetime) -> Candidate:
        began_s = cpu_s()
        predictions = found.apply(base.predictions)
        made = replace(
            base,
            number=len(self.made),
            text=f"put {base.number} on a line",
            made_at=at,
            predictions=predictions,
            losses=self._loss(self.history.y[base.since :], predictions),
            cpu_s=cpu_s() - began_s,
            line=found.after(base.line),
        )
        self.made.append(made)
        return made

    def _on_window(self, text: str, at: datetime, window: timedelta | None, base: Candidate | None) -> _Wanted:
        history, cut_us = self.history, to_us(self.history.holdout(at)[0])
        train = history.known_by(at) & (history.as_of < cut_us)
        if window is not None:
            train &= history.as_of >= to_us(at - window)
        return _Wanted(text, at, train, self._valid(at), cut_us, base)

    def _valid(self, at: datetime) -> Mask:
        valid = np.zeros(len(self.history.y), dtype=np.bool_)
        valid[self.history.between(*self.history.holdout(at), at)] = True
        return valid

    def _find(self, wanted: _Wanted) -> Candidate | None:
        key = (
            bytes_hash(np.packbits(wanted.train).tobytes()),
            bytes_hash(np.packbits(wanted.valid).tobytes()),
            "" if wanted.base is None else str(wanted.base.number),
        )
        if key not in self._known:
            enough = wanted.train.sum() >= _LEAST and wanted.valid.any()
            self._known[key] = self._tried(wanted) if enough else None
        return self._known[key]

    def _tried(self, wanted: _Wanted) -> Candidate | None:
        """A fit that fails makes no candidate, as in a repair: the others still compete."""
        try:
            return self._made(wanted)
        except BadModel:
            return None

    def _made(self, wanted: _Wanted) -> Candidate:
        history, base = self.history, wanted.base
        # What is gone on from knows categories by its own codes.
        plan = history.learned(wanted.train) if base is None else base.plan
        x = history.encoded(plan)
        data = _training_data(history, plan, x, wanted)
        trained = train(history.model, data, warm_start=None if base is None else base.fitted, lean=True)
        since = history.row_at(wanted.at - reach(history.model))
        predictions = predict(trained.fitted, x[since:], history.model.task)
        made = Candidate(
            number=len(self.made),
            text=wanted.text,
            made_at=wanted.at,
            since=since,
            predictions=predictions,
            losses=self._loss(history.y[since:], predictions),
            fitted=trained.fitted,
            plan=plan,
            cpu_s=trained.cpu_s,
            watermark_us=wanted.watermark_us,
            used=wanted.used,
        )
        self.made.append(made)
        return made


def reach(model: type[Model]) -> timedelta:
    """How far before a retrain a gate or a line may look at what a candidate answers."""
    return model.holdout + model.label.delay + WINDOW + days(1)


def windows_of(model: type[Model]) -> list[timedelta | None]:
    """The windows that the model's declaration lets a retrain fit on; None: all rows."""
    allowed = model.remedies or ("retrain_full", "retrain_recent")
    whole: Sequence[timedelta | None] = [None] if "retrain_full" in allowed else []
    recent: Sequence[timedelta | None] = list(model.recent) if "retrain_recent" in allowed else []
    return [*whole, *recent] or [None]


def _enough(rows: NDArray[Any]) -> bool:
    return len(rows) >= MIN_ROWS


def _training_data(history: History, plan: FeaturePlan, x: NDArray[np.float32], wanted: _Wanted) -> TrainingData:
    model = history.model
    return TrainingData(
        x=x[wanted.train],
        y=history.y[wanted.train],
        x_valid=x[wanted.valid],
        y_valid=history.y[wanted.valid],
        features=[feature.name for feature in plan.features],
        categories=plan.categories,
        params=dict(model.params),
        seed=model.seed,
    )

"""The remedy that puts the champion's predictions on a straight line, without fitting it anew.

A model that is off by a shift or a scale, as when everything takes a tenth longer, is mended by two numbers,
which a week of labels tells and a retrain needs months for. For regressions only: a probability is no line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from perdure.assets.health import Cause
from perdure.assets.model import Model
from perdure.assets.repair import SCHEDULE, Action
from perdure.assets.version import Version
from perdure.core.canonical import plain
from perdure.core.clock import cpu_s, machine_now
from perdure.core.errors import NotReady
from perdure.core.ids import Digest
from perdure.core.units import days, duration_text
from perdure.engines.performance import MIN_ROWS
from perdure.engines.training.calibration import Calibration, calibrated_onnx, fit_calibration
from perdure.engines.training.code import code_hash
from perdure.engines.training.dataset import LABEL, LABEL_KNOWN_AT
from perdure.engines.training.lineage import describe
from perdure.engines.training.metrics import metrics_of
from perdure.loop.protocols import Watched, Workplace
from perdure.loop.work.candidates import CONCEPT_DRIFT, fits_contract, is_allowed, once
from perdure.loop.work.datasets import KNOWN_AT, keep_dataset
from perdure.loop.work.rows import AS_OF, KEY, holdout_window, labelled_rows
from perdure.loop.work.scoring import Scoreboard, is_whole, newest_scoreboard, scoreboard_between
from perdure.loop.work.training import Content, register
from perdure.loop.work.versions import find_champion, get_version
from perdure.stores.ledger.protocols import Run

WINDOW = days(7)
"""Labelled rows before the holdout that the line is fitted on: enough for two numbers, and of the present."""
_COST_S = 0.3


class Recalibrate:
    """A version that answers `intercept + slope * prediction of the champion`."""

    name = "recalibrate"
    answers: Sequence[str] = (CONCEPT_DRIFT, SCHEDULE)

    def propose(self, place: Workplace, asset: Watched, causes: Sequence[Cause], now: datetime) -> Sequence[Action]:  # noqa: ARG002 - the Protocol's
        """One action, for a regression with a champion that is whole."""
        model: type[Model] = asset.declaration
        champion = find_champion(place.stores.ledger, asset.name)
        if model.task != "regression" or champion is None or not is_allowed(asset, self.name):
            return []
        if not is_whole(place, champion) or not fits_contract(model, champion):
            return []
        text = f"put the predictions of {champion.id} on the line of the newest {duration_text(WINDOW)}"
        return [Action(self.name, text, params={"version": champion.id, "days": WINDOW // days(1)}, cost_s=_COST_S)]

    def repair(self, place: Workplace, asset: Watched, action: Action, step: str, now: datetime) -> Sequence[str]:
        """The version on the line.

        Raises:
            NotReady: too few labelled rows, or predictions that say too little of the labels for a line.
            NotFound, Corrupt: the version cannot be loaded.
        """

        def make(run_id: str) -> str:
            base = get_version(place.stores.ledger, action.params["version"])
            return _Work(place, asset.declaration, base, action, run_id, now).done()

        return once(place, asset, action, step, make)


@dataclass(frozen=True, slots=True, eq=False)
class _Work:
    """One recalibration."""

    place: Workplace
    model: type[Model]
    base: Version
    action: Action
    run_id: str
    now: datetime

    def done(self) -> str:
        """The version's id, registered, with its run."""
        began_at, began_cpu_s = machine_now(), cpu_s()
        board = self._board(days(self.action.params["days"]))
        predicted, y = board.predictions(self.base), board.y
        usable = np.isfinite(predicted) & np.isfinite(y)
        found = fit_calibration(predicted[usable], y[usable]) if int(usable.sum()) >= MIN_ROWS else None
        if found is None:
            raise NotReady(
                f"{int(usable.sum())} labelled rows give no line for {self.base.id}.",
                hint="Wait for labels, or retrain.",
                n=int(usable.sum()),
            )
        before = Calibration.of(self.base.definition)
        whole = found.after(before)
        metrics = self._metrics(found)
        version = register(self.place, self._content(whole, before, board.rows), metrics, self.now)
        facts = {
            "version": version.id,
            "remedy": "recalibrate",
            "calibration": asdict(whole),
            "cpu_s": round(cpu_s() - began_cpu_s, 3),
        }
        run = Run(
            self.run_id,
            "recalibrate",
            self.model.name,
            "done",
            began_at,
            machine_now(),
            plain(dict(self.action.params)),
            metrics,
            plain(facts),
            self.place.actor,
        )
        with self.place.transaction(self.now, "recalibrate done") as session:
            session.runs.put(run)
        return version.id

    def _board(self, window: timedelta) -> Scoreboard:
        """The labelled rows of the window that ends where the holdout begins."""
        model, now = self.model, self.now
        earliest = now - model.holdout - model.label.delay - window
        cut, _ = holdout_window(labelled_rows(self.place, model, now, earliest).frame, model, now)
        return scoreboard_between(self.place, model, now, cut - window, cut)

    def _metrics(self, found: Calibration) -> dict[str, float]:
        """On the holdout, as a fit's are."""
        newest = newest_scoreboard(self.place, self.model, self.now)
        if newest.rows.is_empty():
            return {}
        predicted = found.apply(newest.predictions(self.base))
        usable = np.isfinite(predicted)
        measured = metrics_of(newest.y[usable], predicted[usable], self.model.task) if usable.any() else {}
        return {f"valid_{name}": value for name, value in measured.items()}

    def _content(self, whole: Calibration, before: Calibration | None, rows: pl.DataFrame) -> Content:
        base, blobs = self.base, self.place.stores.blobs
        artifacts = dict(base.artifacts)
        if "onnx" in artifacts:
            graph = calibrated_onnx(blobs.get(Digest(artifacts["onnx"])), whole, before)
            artifacts["onnx"] = blobs.put(graph)
        used = rows.select(KEY, AS_OF, LABEL, pl.max_horizontal(AS_OF, LABEL_KNOWN_AT).alias(KNOWN_AT))
        card = describe(used, AS_OF, {"n_rows": used.height}).as_dict()
        dataset = keep_dataset(self.place, self.model, used, card, self.now)
        lineage: dict[str, Any] = {
            "dataset": dataset.id,
            "code": code_hash(self.model),
            "params": base.lineage.get("params", {}),
            "seed": base.lineage.get("seed", 0),
            "remedy": "recalibrate",
            "remedy_params": dict(self.action.params),
            "calibrates": base.id,
        }
        if "watermark" in base.lineage:
            lineage["watermark"] = base.lineage["watermark"]
        definition = {**base.definition, "calibration": asdict(whole)}
        return Content(plain(definition), artifacts, plain(lineage), self.model.name)

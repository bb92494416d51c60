"""Error metrics from late labels: the signals `mae`, `rmse`, `bias` and `accuracy`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import polars as pl

from perdure.assets.health import Reading
from perdure.assets.objective import SignalSpec
from perdure.engines.performance import delay_summary, measure
from perdure.loop.protocols import Watched, Workplace
from perdure.loop.work.outcomes import field_of_row, read_outcomes


class ErrorSignal:
    """One error metric over predictions of a window whose labels have had their delay to arrive.

    The window ends `label.delay` before now, so that late labels do not look like good ones.
    """

    def __init__(self, metric: str) -> None:
        self.name = metric

    def observe(self, place: Workplace, asset: Watched, spec: SignalSpec, now: datetime) -> Sequence[Reading]:
        """One reading, or one a slice; none while nothing was served in the window."""
        label = asset.declaration.label
        end = now - label.delay
        start = end - spec.over
        joined = read_outcomes(place.stores.lake, asset.name, label, (start, end), now)
        if joined.n_rows == 0:
            return []
        frame = joined.frame.filter(pl.col("label").is_not_null())
        slices = frame.select(field_of_row(spec.by).alias("slice"))["slice"] if spec.by else None
        estimates = measure(
            self.name,
            frame["label"].to_numpy(),
            frame["prediction"].to_numpy(),
            slices=slices.fill_null("(missing)").to_numpy() if slices is not None else None,
        )
        facts: dict[str, Any] = {"n_served": joined.n_rows, "n_unlabelled": joined.n_unlabelled}
        if frame.height:
            facts["label_delay_h"] = delay_summary(_delay_hours(frame))
        return [
            Reading(
                asset=asset.name,
                signal=spec.signal,
                at=now,
                window_start=start,
                window_end=end,
                value=estimate.value,
                low=estimate.low,
                high=estimate.high,
                n=estimate.n,
                unit="accuracy" if self.name == "accuracy" else "label",
                slice=f"{spec.by}={estimate.slice}" if spec.by else "",
                facts=facts,
            )
            for estimate in estimates
            if (estimate.slice != "") == bool(spec.by)
        ]


def _delay_hours(frame: pl.DataFrame) -> Any:
    delay = (pl.col("known_at") - pl.col("served_at")).dt.total_seconds() / 3600.0
    return frame.select(delay.alias("h"))["h"].to_numpy()

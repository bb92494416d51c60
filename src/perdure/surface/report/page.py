"""The page around the charts: gathers what the stores hold of a replay and writes one HTML file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2

from perdure.assets.health import Reading
from perdure.assets.model import Model
from perdure.loop.protocols import Stores
from perdure.surface.report.chart import Chart, Line, Point, svg
from perdure.surface.sdk import Perdure
from perdure.surface.summary import Outcome, weekly

N_FEATURES = 5
"""Features whose drift is drawn: the ones that moved most, by their largest value."""


@dataclass(frozen=True, slots=True, eq=False)
class ReportData:
    """What the report tells."""

    perdure: Perdure
    model: type[Model]
    version: str
    outcome: Outcome
    figures: Mapping[str, Any]
    """The summary's counts, shown as they are."""
    start: datetime
    end: datetime


def write_report(data: ReportData, path: Path) -> None:
    """Write the report to `path`: a self-contained page."""
    stores = data.perdure.place.stores
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("perdure.surface.report", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    charts = [(chart.title, svg(chart)) for chart in _charts(stores, data.model)]
    page = environment.get_template("replay.html").render(
        data=data,
        charts=charts,
        label_delay=_label_delay(stores, data.model.name),
        status=data.perdure.status(at=data.end),
        features=_newest_drift(stores, data.model.name),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, "utf-8")


def _charts(stores: Stores, model: type[Model]) -> list[Chart]:
    error = [reading for reading in stores.readings.list(model.name, "mae") if reading.value is not None]
    whole = weekly([reading for reading in error if reading.slice == ""])
    by_slice: dict[str, list[Reading]] = {}
    for reading in error:
        if reading.slice:
            by_slice.setdefault(reading.slice, []).append(reading)
    bounds = {objective.spec.by is None: objective for objective in model.healthy if objective.spec.signal == "mae"}
    unit = model.label.column
    charts = [
        Chart(
            "Error by week, with its 95% interval",
            unit,
            [Line("mean absolute error", [_point(reading) for reading in whole], band=True)],
            bounds[True].bound if True in bounds else None,
            bounds[True].text() if True in bounds else "",
        )
    ]
    if by_slice:
        lines = [Line(name, [_point(reading) for reading in weekly(rows)]) for name, rows in sorted(by_slice.items())]
        bound = bounds.get(False)
        charts.append(
            Chart("Error by week and slice", unit, lines, bound.bound if bound else None, bound.text() if bound else "")
        )
    return [*charts, _drift_chart(stores, model.name)]


def _point(reading: Reading) -> Point:
    assert reading.value is not None
    low = reading.value if reading.low is None else reading.low
    high = reading.value if reading.high is None else reading.high
    return Point(reading.at, reading.value, low, high)


def _drift_chart(stores: Stores, model: str) -> Chart:
    series: dict[str, list[Point]] = {}
    for reading in weekly(stores.readings.list(model, "drift")):
        for feature in reading.facts["features"]:
            value = float(feature["psi"])
            series.setdefault(feature["feature"], []).append(Point(reading.at, value, value, value))
    ranked = sorted(series.items(), key=lambda item: -max(point.value for point in item[1]))
    lines = [Line(name, points) for name, points in ranked[:N_FEATURES]]
    return Chart("Drift of the features that moved most, against training", "PSI", lines, 0.25, "usual bound 0.25")


def _newest_drift(stores: Stores, model: str) -> Sequence[Mapping[str, Any]]:
    readings = stores.readings.list(model, "drift")
    return list(readings[-1].facts["features"])[:10] if readings else []


def _label_delay(stores: Stores, model: str) -> Mapping[str, Any] | None:
    readings = [reading for reading in stores.readings.list(model, "mae") if "label_delay" in reading.facts]
    return readings[-1].facts["label_delay"] if readings else None

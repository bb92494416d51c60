"""The page of two deployments after the same traffic: both errors with what happened, and every deed with its evidence."""

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
from perdure.surface.comparison import Pair, incident_text, release_text
from perdure.surface.repairs import Release
from perdure.surface.report.chart import Chart, Line, Point, svg
from perdure.surface.report.timeline import Curve, Mark, Timeline, draw
from perdure.surface.sdk import Perdure
from perdure.surface.summary import Outcome, moving_error, weekly

N_FEATURES = 5
"""Features whose drift is drawn: the ones that moved most, by their largest value."""


@dataclass(frozen=True, slots=True, eq=False)
class ComparisonData:
    """What the page tells.

    Args:
        managed: the managed deployment, for its health at the end.
        model: whose error it is.
        pairs: the first is told whole; of the others the plot and the months.
        figures: shown as they are.
        start: of the traffic.
        end: of the traffic.
    """

    managed: Perdure
    model: type[Model]
    pairs: Sequence[Pair]
    figures: Mapping[str, Any]
    start: datetime
    end: datetime


def write_comparison(data: ComparisonData, path: Path) -> None:
    """Write the page to `path`: self-contained, one file."""
    stores = data.managed.place.stores
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("perdure.surface.report", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    page = environment.get_template("comparison.html").render(
        data=data,
        plots=[(pair, draw(timeline(pair, data))) for pair in data.pairs],
        charts=[(chart.title, svg(chart)) for chart in _charts(stores, data.model)],
        status=data.managed.status(at=data.end),
        features=_newest_drift(stores, data.model.name),
        label_delay=_label_delay(stores, data.model.name),
        incident_text=incident_text,
        release_text=release_text,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, "utf-8")


def timeline(pair: Pair, data: ComparisonData) -> Timeline:
    """The plot of a pair."""
    whole = [each for each in data.model.healthy if each.spec.signal == "mae" and each.spec.by is None]
    done = pair.repairs
    return Timeline(
        title=f"Mean absolute error {pair.title}",
        unit=f"{data.model.label.column}, mean absolute error of 7 days",
        curves=[_curve("frozen", pair.frozen), _curve("managed", pair.managed)],
        faults=[
            Mark(
                f"injected: {each.text}, {each.start:%d %b %H:%M} to {each.end:%d %b %H:%M} UTC",
                "fault",
                each.start,
                each.end,
            )
            for each in pair.faults
        ],
        incidents=[
            Mark(
                f"{each.opened:%d %b %Y} {each.asset}: {incident_text(each)}",
                "model" if each.asset == data.model.name else "source",
                each.opened,
                each.closed,
            )
            for each in done.incidents
        ],
        moves=[mark for release in done.releases for mark in _moves(release)],
        bound=whole[0].bound if whole else None,
        bound_name=whole[0].text() if whole else "",
        end=data.end,
    )


def _curve(name: str, outcome: Outcome) -> Curve:
    return Curve(name, name, moving_error(outcome.days))


def _moves(release: Release) -> list[Mark]:
    made = Mark(f"{release.at:%d %b %Y}: {release_text(release)}", "release", release.at)
    if release.rolled_back is None:
        return [made]
    back = f"{release.rolled_back:%d %b %Y}: back to {release.replaced}"
    return [made, Mark(back, "back", release.rolled_back)]


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

"""Two deployments side by side: months, improvement, words; and the plot of both."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime, timedelta
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from perdure.surface.cli.replay_view import ReplayView
from perdure.surface.cli.show_comparison import comparison
from perdure.surface.comparison import Pair, Stretch, incident_text
from perdure.surface.deployments import Heard
from perdure.surface.repairs import Repairs, Told
from perdure.surface.report.timeline import WIDTH, Curve, Mark, Timeline, draw
from perdure.surface.summary import DayError, MonthError, Outcome, mean_error, moving_error

AT = datetime(2025, 6, 1, tzinfo=UTC)


def _outcome(*daily: float) -> Outcome:
    days = [DayError((AT + timedelta(days=n)).date(), n + 1, (n + 1) * value) for n, value in enumerate(daily)]
    months = [MonthError("2025-06", sum(day.n for day in days), daily[0], 0.0, 9.0, 0.0)]
    return Outcome(0, 0, 0, 0, 0, 0, 0, {}, 0, 0, months, days)


def _pair(**changes: object) -> Pair:
    told = Told("sky", "unit_change", "unit_change", AT, AT + timedelta(hours=30), "quarantined", "", "")
    given = {"repairs": Repairs([told]), "faults": [Stretch("mm for inches", AT, AT + timedelta(days=2))], **changes}
    return Pair("with the fault", _outcome(4.0, 8.0), _outcome(2.0, 2.0), **given)  # type: ignore[arg-type]


def test_improvement_counts_rows_not_days() -> None:
    assert _pair().improvement(date(2025, 6, 1), date(2025, 6, 30)) == pytest.approx((1 * 4 + 2 * 8) / 3 / 2)
    assert _pair().improvement(date(2025, 7, 1), date(2025, 7, 30)) is None


def test_a_month_s_change_is_what_the_managed_one_has_less() -> None:
    (month,) = _pair().months()
    assert (month.frozen, month.managed, month.change) == (4.0, 2.0, -0.5)


def test_moving_error_forgets_what_is_older_than_its_window() -> None:
    days = [DayError(date(2025, 6, 1), 10, 1000.0), DayError(date(2025, 6, 8), 1, 3.0)]
    assert moving_error(days, 7)[-1] == (date(2025, 6, 8), 3.0, 1)
    assert mean_error(days, date(2025, 6, 1), date(2025, 6, 30)) == pytest.approx(1003 / 11)


def test_an_incident_is_a_sentence() -> None:
    assert incident_text(_pair().repairs.incidents[0]) == "unit change. quarantined; over after 30 h."


def test_the_console_tells_months_faults_and_incidents() -> None:
    console = Console(file=io.StringIO(), width=100, highlight=False)
    comparison(_pair(), console, unit="min")
    told = console.file.getvalue()  # type: ignore[attr-defined]
    assert "-50%" in told
    assert "01 Jun   injected: mm for inches, until 03 Jun" in told
    assert "sky: unit change. quarantined; over after 30 h." in told


def test_without_a_terminal_the_view_prints_a_line_as_a_month_ends() -> None:
    console = Console(file=io.StringIO(), width=200, highlight=False)
    with ReplayView(console, [("managed", AT, AT + timedelta(days=60))], "min") as view:
        for day in (1, 15, 29, 31):
            heard = Heard("managed", AT + timedelta(days=day), 1, 1, 0, 1, 9.5, ("sky: stale",), "repair of sky")
            view.update(heard)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert len(lines) == 1
    for words in ("managed", "June 2025", "9.5 min", "sky: stale", "repair of sky"):
        assert words in lines[0]


def _drawing(timeline: Timeline) -> ET.Element:
    return ET.fromstring(draw(timeline).partition("</svg>")[0] + "</svg>")


@given(
    st.lists(st.floats(0, 1e4), min_size=1, max_size=30),
    st.lists(st.tuples(st.integers(-40, 40), st.integers(0, 60)), max_size=8),
)
def test_every_mark_lies_inside_the_drawing_and_none_over_another(
    values: list[float], spans: list[tuple[int, int]]
) -> None:
    points = [((AT + timedelta(days=n)).date(), value, 1) for n, value in enumerate(values)]
    marks = sorted(
        (Mark("x", "model", AT + timedelta(days=start), AT + timedelta(days=start + n)) for start, n in spans),
        key=lambda mark: mark.start,
    )
    root = _drawing(Timeline("t", "min", [Curve("frozen", "frozen", points)], marks, marks, bound=3.0))
    height = float(root.attrib["viewBox"].split()[3])
    rects = [each.attrib for each in root.iter() if each.tag == "rect" and each.attrib["class"] != "fault"]
    assert len(rects) == len(marks)
    for rect in rects:
        assert 0 <= float(rect["x"]) <= WIDTH
        assert float(rect["y"]) + float(rect["height"]) <= height
    rows: dict[str, float] = {}
    for mark, rect in zip(marks, rects, strict=True):
        assert mark.start.timestamp() >= rows.get(rect["y"], -1e18)
        assert mark.end is not None
        rows[rect["y"]] = mark.end.timestamp()


def test_a_plot_without_points_says_so() -> None:
    assert "Nothing was measured" in draw(Timeline("t", "min", [Curve("frozen", "frozen", [])]))

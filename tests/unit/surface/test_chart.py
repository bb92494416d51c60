"""Charts: round ticks, every point inside the frame, text escaped, nothing to draw said."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from perdure.surface.report.chart import HEIGHT, WIDTH, Chart, Line, Point, svg, ticks

DAY = datetime(2013, 3, 1, tzinfo=UTC)


def _drawing(chart: Chart) -> ET.Element:
    return ET.fromstring(svg(chart).partition("</svg>")[0] + "</svg>")


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=40))
def test_every_point_lies_inside_the_drawing(values: list[float]) -> None:
    points = [Point(DAY + timedelta(days=7 * at), value, value * 0.9, value * 1.1) for at, value in enumerate(values)]
    root = _drawing(Chart("error", "min", [Line("model", points, band=True)], bound=10.0, bound_name="bound"))
    circles = [element for element in root.iter() if element.tag.endswith("circle")]
    assert len(circles) == len(values)
    assert all(0 <= float(c.attrib["cx"]) <= WIDTH and 0 <= float(c.attrib["cy"]) <= HEIGHT for c in circles)


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9))
def test_ticks_span_the_range_in_few_round_steps(low: float, width: float) -> None:
    found = ticks(low, low + width)
    assert found[0] <= low + 1e-6 * max(1.0, abs(low))
    assert found[-1] >= low + width - 1e-6 * max(1.0, abs(low + width))
    assert 2 <= len(found) <= 8


def test_names_are_escaped() -> None:
    chart = Chart("a < b", "&", [Line("<script>", [Point(DAY, 1.0, 1.0, 1.0)])])
    assert "<script>" not in svg(chart)


def test_an_empty_chart_says_that_nothing_was_measured() -> None:
    assert "Nothing was measured" in svg(Chart("drift", "PSI", [Line("x", [])]))
    assert not re.search("<svg", svg(Chart("drift", "PSI", [])))

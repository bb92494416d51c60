"""Charts: what is drawn is escaped, accessible and styled by classes alone, and its table tells the same."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.surface.console.axes import instants, span_of
from perdure.surface.console.drawing import as_table, points, svg
from perdure.surface.console.records import Bars, Lineage, Mark, Node, Picture, Scatter, Series, Steps
from perdure.surface.console.thinning import thin

HOUR = 3_600_000_000
START = 1_700_000_000_000_000
HOSTILE = '"><script>alert(1)</script>\u2028'


def picture(n: int = 10, **more: object) -> Picture:
    values = tuple(float(k % 7) for k in range(n))
    series = Series(HOSTILE, values, tuple(v - 1 for v in values), tuple(v + 1 for v in values))
    given_ = {"marks": (Mark(HOSTILE, START + HOUR, START + 2 * HOUR, "bad", "/incidents/x", "incident"),), **more}
    return Picture("p", HOSTILE, "min", tuple(START + k * HOUR for k in range(n)), (series,), **given_)  # type: ignore[arg-type]


EVERY = {
    "picture": picture(bound=5.0, bound_text=HOSTILE),
    "bars": Bars("b", HOSTILE, HOSTILE, ((HOSTILE, 1.0, None), ("down", -2.0, -1.0))),
    "steps": Steps("s", HOSTILE, HOSTILE, (1, 2), (3, 4), (), labels=(HOSTILE, "b"), note=HOSTILE),
    "lineage": Lineage("l", HOSTILE, (Node("a", HOSTILE, HOSTILE), Node("b", "model", "B", here=True)), (("a", "b"),)),
    "few points": Scatter("c", HOSTILE, ((0, 1), (2, 3)), (0, 1), (HOSTILE, "y"), (HOSTILE, "h")),
    "many points": Scatter("c", HOSTILE, ((0, 1),) * 400, (0,) * 400, ("x",) * 400, (HOSTILE,)),
}


@pytest.mark.parametrize("name", EVERY)
def test_foreign_text_is_escaped_and_nothing_is_styled_in_place(name):
    drawn = str(svg(EVERY[name]))
    assert "<script" not in drawn
    assert not re.search(r"\s(style|on\w+)=", drawn.replace(HOSTILE, ""))
    assert drawn.startswith("<svg")


@pytest.mark.parametrize("name", EVERY)
def test_a_drawing_has_a_role_a_title_and_a_description_and_no_link_inside(name):
    drawn = str(svg(EVERY[name]))
    head = drawn[: drawn.index("</desc>")]
    assert 'role="img"' in head
    assert "<title>" in head
    assert len(head.split("<desc>")[1]) > 5
    assert "<a " not in drawn


@pytest.mark.parametrize("name", EVERY)
def test_every_drawing_has_its_table_of_at_most_200_rows(name):
    table = as_table(EVERY[name])
    assert table.rows
    assert len(table.rows) <= 200
    assert all(len(row) == len(table.headings) for row in table.rows)


def test_points_hold_no_character_that_ends_a_script():
    told = str(points(EVERY["picture"]))
    assert not set("<>&\u2028\u2029") & set(told)
    held = json.loads(told)
    assert held["title"] == HOSTILE
    assert held["x"][1] - held["x"][0] == 3600
    assert held["marks"][0]["until"] == held["marks"][0]["at"] + 3600


def test_what_is_no_number_is_a_hole():
    holed = Picture("p", "T", "", (1, 2, 3), (Series("a", (1.0, float("nan"), 2.0)),), across="tree")
    assert json.loads(str(points(holed)))["series"][0]["values"] == [1.0, None, 2.0]
    assert str(svg(holed)).count("<polyline") == 2
    assert as_table(holed).rows[1][1] == "–"


def test_a_chart_of_nothing_says_so():
    assert "Nothing was measured for: T." in str(svg(Picture("p", "T", "", (), ())))
    assert "Nothing to draw" in str(svg(Bars("b", "T", "", ())))


def test_a_chart_over_trees_has_no_instants():
    curve = Picture("p", "Loss", "", (0, 1, 2), (Series("valid", (3.0, 2.0, 1.0)),), across="tree")
    assert "tree" in str(svg(curve))
    assert as_table(curve).rows[0][0] == "0"


def test_a_table_tells_what_happened_between_the_values_newest_first():
    rows = as_table(EVERY["picture"]).rows
    told = [row[-1] for row in rows if row[-1] != ""]
    assert told[0].href == "/incidents/x"
    assert "until" in told[0].text
    instants_ = [row[0].at for row in rows]
    assert instants_ == sorted(instants_, reverse=True)


def test_a_circle_of_lineage_is_cut_and_drawn():
    circle = Lineage("l", "L", (Node("a", "x", "A"), Node("b", "x", "B")), (("a", "b"), ("b", "a"), ("a", "a")))
    assert str(svg(circle)).count('class="way"') == 1


def test_what_is_below_zero_goes_to_the_left_of_what_is_above():
    drawn = str(svg(Bars("b", "T", "", (("up", 2.0, None), ("down", -2.0, None)))))
    up, down = (float(re.search(rf'class="bar {way}" x="([\d.]+)"', drawn)[1]) for way in ("up", "down"))
    assert down < up


@given(st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), min_size=1, max_size=300), st.integers(1, 40))
def test_thinning_keeps_the_extremes_and_the_order(values, n_buckets):
    whole = Picture("p", "T", "", tuple(range(len(values))), (Series("a", tuple(values)),))
    few = thin(whole, n_buckets)
    known = [value for value in values if value is not None]
    assert len(few.at_us) <= max(n_buckets, 1)
    assert list(few.at_us) == sorted(few.at_us)
    if few is not whole and known:
        assert min(low for low in few.series[0].low if low is not None) == min(known)
        assert max(high for high in few.series[0].high if high is not None) == max(known)
        assert few.n_whole == len(values)


@given(st.integers(0, 2 * 10**15), st.integers(1, 10**14), st.integers(2, 12))
def test_round_instants_lie_within_their_span_and_are_few(start, length, n):
    found = instants(start, start + length, n)
    assert all(start <= at <= start + length for at, _ in found)
    assert len(found) <= 2 * n + 2


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=20))
def test_an_axis_holds_all_its_values(values):
    low, high = span_of(values)
    assert low <= min(values)
    assert high >= max(values)
    assert low < high

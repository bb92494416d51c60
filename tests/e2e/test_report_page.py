"""The report as a person sees it: in a real Chromium, at a desk and on a phone, without the network."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page

from perdure.assets.health import Reading
from perdure.core.settings import ProjectSettings, Settings
from perdure.surface.comparison import Pair, Stretch
from perdure.surface.repairs import Release, Repairs, Told
from perdure.surface.report import ComparisonData, write_comparison
from perdure.surface.sdk import Perdure
from perdure.surface.summary import DayError, MonthError, Outcome
from perdure.testing.world import START, World

N_DAYS = 140


def _reading(week: int, signal: str, value: float, part: str = "", **facts: object) -> Reading:
    at = START + timedelta(weeks=week)
    window = (at - timedelta(days=7), at)
    return Reading("minutes", signal, at, *window, value, value - 0.5, value + 0.5, 400, "min", part, facts=facts)


def _outcome(factor: float) -> Outcome:
    months = [MonthError(f"2025-{month:02d}", 1000, factor * (2 + month), 1.0, 9.0, -0.1) for month in range(1, 6)]
    days = [DayError((START + timedelta(days=n)).date(), 40, 40 * factor * (3 + 0.05 * n)) for n in range(N_DAYS)]
    return Outcome(5000, 4900, 4900, 0, 0, 0, 3, {"source:sky": 3}, 5000, 0, months, days)


def _repairs() -> Repairs:
    at = [START + timedelta(days=n) for n in (30, 33, 60, 62, 100, 118)]
    incidents = [
        Told("minutes", "concept_drift", "concept_drift", at[0], at[1], "released: fit on 30d", "worse", "healthy"),
        Told("sky", "unit_change", "unit_change", at[4], None, "", "rain is <b>25.4</b> times what it was", ""),
    ]
    releases = [
        Release("minutes", "minutes@1111", "minutes@0000", at[1], "concept_drift", "better by 2 min", 2.0, 5),
        Release("minutes", "minutes@2222", "minutes@1111", at[2], "concept_drift", "better by 1 min", 1.0, 2, at[3]),
    ]
    return Repairs(incidents, releases, 2, 5, 9, 9)


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report over twenty weeks of two deployments; one slice, and what was seen, are named like markup."""
    folder = tmp_path_factory.mktemp("report")
    perdure = Perdure(folder, Settings(project=ProjectSettings(name="world")), project=World(n_days=1).project())
    drifts = [
        {"feature": name, "psi": 0.1 * at, "js": 0.2, "ks": None, "null_ratio": [0.0, 0.1]}
        for at, name in enumerate(("rain_mm", "distance_km", "shop"))
    ]
    delay = {"p50_s": 7200.0, "p99_s": 20000.0}
    readings = [_reading(week, "mae", 2.0 + week % 5, label_delay=delay) for week in range(20)]
    readings += [_reading(week, "mae", 2.5, "shop=<b>north</b>") for week in range(20)]
    readings += [_reading(week, "drift", 0.3, features=drifts) for week in range(20)]
    perdure.place.stores.readings.put(readings)
    end, at = START + timedelta(days=N_DAYS), START + timedelta(days=100)
    faults = [Stretch("inches instead of mm", at, at + timedelta(days=14))]
    pairs = [
        Pair("with the fault", _outcome(1.0), _outcome(0.5), _repairs(), faults),
        Pair("without the fault", _outcome(1.0), _outcome(1.2), Repairs()),
    ]
    path = folder / "report.html"
    write_comparison(
        ComparisonData(perdure, perdure.project.model("minutes"), pairs, {"rows": "5,000"}, START, end), path
    )
    return path


def _opened(
    browser: Browser, file: Path, width: int, scheme: Literal["light", "dark"] = "light"
) -> tuple[Page, list[str]]:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: problems.append(request.url) if not request.url.startswith("file:") else None)
    page.goto(file.as_uri())
    return page, problems


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_the_report_fits_its_window_and_asks_nothing_of_the_network(
    browser: Browser, page_file: Path, width: int, scheme: Literal["light", "dark"]
) -> None:
    page, problems = _opened(browser, page_file, width, scheme)
    assert problems == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.close()


def test_the_plot_has_both_errors_and_everything_that_happened(browser: Browser, page_file: Path) -> None:
    page, _ = _opened(browser, page_file, 1280)
    plot = page.locator("svg.timeline").first
    assert plot.locator("polyline.curve").count() == 2
    assert plot.locator("circle.frozen").count() == plot.locator("circle.managed").count() == N_DAYS
    assert plot.locator("polygon.release").count() == 2
    assert plot.locator("polygon.back").count() == 1
    assert plot.locator("rect.incident").count() == 2
    assert plot.locator("rect.fault").count() == 1
    assert page.locator("svg.timeline").nth(1).locator("rect.fault").count() == 0
    titles = plot.locator("title").all_text_contents()
    assert any("injected: inches instead of mm" in title for title in titles)
    assert any("minutes@1111 replaced minutes@0000, the best of 5" in title for title in titles)
    page.close()


def test_no_mark_of_the_plot_lies_outside_it(browser: Browser, page_file: Path) -> None:
    page, _ = _opened(browser, page_file, 1280)
    outside = page.evaluate(
        """() => [...document.querySelectorAll('svg.timeline')].flatMap(svg => {
            const box = svg.getBoundingClientRect();
            return [...svg.querySelectorAll('text, rect, polygon, polyline')].filter(each => {
                const own = each.getBoundingClientRect();
                return own.left < box.left - 1 || own.right > box.right + 1 || own.bottom > box.bottom + 1;
            }).map(each => each.outerHTML);
        })"""
    )
    assert outside == []
    page.close()


def test_months_incidents_and_releases_are_told(browser: Browser, page_file: Path) -> None:
    page, _ = _opened(browser, page_file, 1280)
    assert page.get_by_role("cell", name="2025-05").count() == 2
    assert page.get_by_role("cell", name="-50%").count() == 5
    assert page.locator("td.worse", has_text="+20%").count() == 5
    told = page.inner_text("body")
    for words in (
        "concept drift",
        "released: fit on 30d",
        "better by 2 min",
        "inches instead of mm",
        "2.0 hours after",
    ):
        assert words in told
    page.close()


def test_a_name_that_looks_like_markup_stays_text(browser: Browser, page_file: Path) -> None:
    page, _ = _opened(browser, page_file, 1280)
    assert page.locator("b", has_text="north").count() == 0
    assert "<b>north</b>" in page.inner_text("body")
    assert "rain is <b>25.4</b> times" in page.inner_text("body")
    page.close()

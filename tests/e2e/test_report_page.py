"""The report as a person sees it: in a real Chromium, at a desk and on a phone, without the network."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from perdure.assets.health import Reading
from perdure.core.settings import ProjectSettings, Settings
from perdure.surface.report import ReportData, write_report
from perdure.surface.sdk import Perdure
from perdure.surface.summary import MonthError, Outcome
from perdure.testing.world import START, World

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium, headless."""
    if not CHROMIUM and not os.environ.get("CI"):
        pytest.skip("no Chromium is installed; tools/browser.sh says how to get it")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


def _reading(week: int, signal: str, value: float, part: str = "", **facts: object) -> Reading:
    at = START + timedelta(weeks=week)
    window = (at - timedelta(days=7), at)
    return Reading("minutes", signal, at, *window, value, value - 0.5, value + 0.5, 400, "min", part, facts=facts)


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report over readings of twenty weeks; one slice is named like markup."""
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
    months = [
        MonthError(f"2025-{month:02d}", 1000 + month, 2.0 + month, 1.5 + month, 2.5 + month, -0.1)
        for month in range(1, 6)
    ]
    outcome = Outcome(5000, 4900, 4900, 0, 0, 0, 3, {"source:sky": 3}, 5000, 0, months)
    end = START + timedelta(weeks=20)
    path = folder / "report.html"
    model = perdure.project.model("minutes")
    write_report(ReportData(perdure, model, "minutes@0123456789ab", outcome, {"rows": "5,000"}, START, end), path)
    return path


def _opened(browser: Browser, file: Path, width: int) -> tuple[Page, list[str]]:
    page = browser.new_page(viewport={"width": width, "height": 900})
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: problems.append(request.url) if not request.url.startswith("file:") else None)
    page.goto(file.as_uri())
    return page, problems


@pytest.mark.parametrize("width", [1280, 390])
def test_the_report_fits_its_window_and_asks_nothing_of_the_network(
    browser: Browser, page_file: Path, width: int
) -> None:
    page, problems = _opened(browser, page_file, width)
    assert problems == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.close()


def test_every_reading_is_drawn_and_every_month_listed(browser: Browser, page_file: Path) -> None:
    page, _ = _opened(browser, page_file, 1280)
    assert page.locator("svg").count() == 3
    assert page.locator("svg").nth(0).locator("circle").count() == 20
    assert page.locator("svg").nth(2).locator("polyline").count() == 3
    assert page.get_by_role("cell", name="2025-05").count() == 1
    assert "2.0 hours after the prediction" in page.inner_text("body")
    page.close()


def test_a_name_that_looks_like_markup_stays_text(browser: Browser, page_file: Path) -> None:
    page, _ = _opened(browser, page_file, 1280)
    assert page.locator("b", has_text="north").count() == 0
    assert "<b>north</b>" in page.inner_text("body")
    page.close()

"""Charts as a browser draws them: zoomed, put back, drawn again by theme and by panels asked for anew, and there without scripts."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from perdure.serve.hosting import Hosted
from perdure.surface.console.app import end

WORLD = Path(__file__).resolve().parents[2] / "unit" / "surface" / "console" / "console_world.py"
HEALTH = "/assets/model/eta/health?signal=mae"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a console over the toy world, asked by an engineer."""
    if "console_world" not in sys.modules:
        spec = importlib.util.spec_from_file_location("console_world", WORLD)
        assert spec is not None
        assert spec.loader is not None
        sys.modules["console_world"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules["console_world"])
    world = sys.modules["console_world"]
    console = world.open_console(world.make_world(tmp_path_factory.mktemp("charts") / "shop"))
    console.acting["as"] = "engineer"
    hosted = Hosted(console.app, host="127.0.0.1", port=0, name="console", ending=lambda: end(console.app))
    yield hosted.start()
    hosted.stop()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page far from UTC; what it complains of is a failure."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, timezone_id="Asia/Tokyo", locale="en-GB")
    problems: list[str] = []
    context.on("console", lambda told: problems.append(told.text) if told.type in ("error", "warning") else None)
    context.on("weberror", lambda error: problems.append(str(error.error)))
    yield context.new_page()
    context.close()
    assert problems == []


def _drag(page: Page, first: float, last: float) -> None:
    box = page.locator("figure.picture .u-over").bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + first * box["width"], y)
    page.mouse.down()
    page.mouse.move(box["x"] + last * box["width"], y, steps=4)
    page.mouse.up()


@pytest.mark.slow
def test_a_dragged_window_is_zoomed_put_into_the_form_and_undone(base, page: Page) -> None:
    page.goto(base + HEALTH)
    page.wait_for_selector("figure.picture canvas")
    assert not page.locator("figure.picture svg").first.is_visible()
    whole = page.input_value("form[data-window] [name=from]")
    _drag(page, 0.3, 0.7)
    expect(page.locator("form[data-window] [name=from]")).not_to_have_value(whole)
    start = page.input_value("form[data-window] [name=from]")
    page.get_by_role("button", name="Whole window").click()
    expect(page.locator("figure.picture button.back")).to_be_hidden()
    _drag(page, 0.3, 0.7)
    page.get_by_role("button", name="Show").click()
    assert start.replace(":", "%3A") in page.url
    assert page.input_value("form[data-window] [name=from]").startswith(start[:16])


@pytest.mark.slow
def test_the_legend_tells_the_newest_value_and_the_one_under_the_pointer_in_the_viewers_zone(base, page: Page) -> None:
    page.goto(base + HEALTH)
    legend = page.locator("figure.picture .legend.told")
    assert "12.6 min" in legend.inner_text()
    page.locator("figure.picture .u-over").hover(position={"x": 2, "y": 40})
    assert "5 min" in legend.inner_text()
    assert "2 Mar 2025, 09:00" in legend.inner_text()


@pytest.mark.slow
def test_a_chart_is_drawn_once_again_when_its_panel_is_asked_for_anew_and_when_the_theme_changes(
    base, page: Page
) -> None:
    page.goto(base + "/assets/model/eta")
    page.wait_for_selector("figure.picture canvas")
    with page.expect_response(lambda answer: answer.url.endswith("/assets/model/eta")):
        page.evaluate("document.body.dispatchEvent(new Event('live-health'))")
    expect(page.locator("figure.picture.drawn canvas")).to_have_count(1)
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    expect(page.locator("figure.picture.drawn canvas")).to_have_count(1)
    assert page.locator("figure.picture .legend.told").count() == 1


@pytest.mark.slow
def test_the_list_is_filtered_as_one_types(base, page: Page) -> None:
    page.goto(base + "/assets")
    page.get_by_role("searchbox").fill("ord")
    expect(page.locator("#assets")).not_to_contain_text("eta")
    assert "orders" in page.locator("#assets").inner_text()
    assert page.url == base + "/assets"


@pytest.mark.slow
def test_without_scripts_the_drawing_its_table_and_the_filter_are_there(base, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(base + "/assets/model/eta")
    assert page.locator("figure.picture svg").first.is_visible()
    page.locator("figure.picture summary").click()
    assert page.locator("figure.picture table").is_visible()
    page.goto(base + "/assets")
    page.get_by_role("searchbox").fill("ord")
    page.get_by_role("button", name="Show").click()
    assert "q=ord" in page.url
    assert "eta" not in page.locator("#assets").inner_text().split()
    context.close()

"""An open page tells what is new without being loaded again, and leaves alone what its reader is at."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from perdure.serve.hosting import Hosted
from perdure.surface.console.app import end

HERE = Path(__file__).resolve().parents[2] / "unit" / "surface" / "console"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Any]]:
    """A console whose board is kept new, asked by a person with every role."""
    spec = importlib.util.spec_from_file_location("console_world", HERE / "console_world.py")
    assert spec is not None
    assert spec.loader is not None
    world = sys.modules["console_world"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(world)
    console = world.open_console(world.make_world(tmp_path_factory.mktemp("live") / "shop"))
    console.acting["as"] = "admin,engineer,reviewer,scientist,viewer"
    over = Event()
    keeping = Thread(target=console.boards.run, args=(over.is_set,), daemon=True)
    keeping.start()
    hosted = Hosted(console.app, host="127.0.0.1", port=0, name="console", ending=lambda: end(console.app))
    yield hosted.start(), console.project
    over.set()
    hosted.stop()
    keeping.join()


@pytest.fixture
def page(running, browser: Browser) -> Iterator[tuple[Page, list[str]]]:
    """A page of its own, and what its browser complains of."""
    made, problems = browser.new_page(timezone_id="Europe/Berlin", locale="en-GB"), []
    made.set_default_timeout(30_000)
    made.on("console", lambda told: problems.append(told.text) if told.type in ("error", "warning") else None)
    made.on("pageerror", lambda error: problems.append(str(error)))
    yield made, problems
    made.close()


def _open_incident(project: Any, what: str) -> str:
    at = sys.modules["console_world"].at(483)
    with project.place.stores.ledger.transaction(actor="loop", at=at, reason="seen") as session:
        found: str = session.incidents.open("orders", what, f"Rows are {what}.", {"loop": True}).id
        return found


def test_a_new_incident_appears_in_an_open_page_and_what_is_unfolded_and_typed_stays(running, page) -> None:
    (url, project), (page, problems) = running, page
    page.goto(f"{url}/incidents")
    assert page.get_attribute("nav .count", "data-count") is not None
    page.evaluate("window.loaded = 'once'")
    before = int(page.locator("nav [data-count=incidents]").first.inner_text())
    page.wait_for_timeout(700)
    _open_incident(project, "late")
    page.locator("main").get_by_text("Rows are late.").first.wait_for(timeout=15_000)
    page.wait_for_function(f"+document.querySelector('nav [data-count=incidents]').textContent === {before + 1}")
    assert page.evaluate("window.loaded") == "once"
    assert problems == []


def test_a_panel_that_is_asked_for_again_keeps_what_is_unfolded(running, page) -> None:
    (url, project), (page, problems) = running, page
    page.goto(f"{url}/assets/model/eta")
    page.wait_for_timeout(700)
    unfolded = page.locator("section.card[hx-trigger] details").first
    unfolded.locator("summary").first.click()
    with page.expect_response(lambda answer: answer.url.endswith("/assets/model/eta"), timeout=15_000):
        project.pause("eta", reason="a look first", at=sys.modules["console_world"].at(484))
        _open_incident(project, "unfolded")
    page.wait_for_timeout(500)
    assert unfolded.evaluate("it => it.open")
    assert "UTC" not in "".join(page.locator("main time").all_inner_texts())
    assert problems == []


def test_instants_are_in_the_viewers_zone_and_the_theme_is_kept(running, page) -> None:
    (url, _), (page, problems) = running, page
    page.goto(f"{url}/incidents")
    time = page.locator("main time").first
    assert time.get_attribute("title") == time.get_attribute("datetime")
    assert "UTC" not in time.inner_text()
    assert page.locator("[data-zone]").inner_text() == "Europe/Berlin"
    page.get_by_role("button", name="Dark").first.click()
    page.goto(f"{url}/assets")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert page.locator("[data-choose-theme=dark]").first.get_attribute("aria-pressed") == "true"
    page.get_by_role("button", name="Auto").first.click()
    page.goto(f"{url}/assets")
    assert page.evaluate("document.documentElement.dataset.theme") is None
    assert problems == []


def test_a_page_is_whole_without_scripts(running, browser: Browser) -> None:
    url, _ = running
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{url}/incidents")
    assert "UTC" in page.locator("main time").first.inner_text()
    assert not page.locator("[data-scripted]").first.is_visible()
    page.locator("nav").get_by_role("link", name="Assets").click()
    assert page.locator("h1").inner_text() == "Assets"
    context.close()


def test_the_keyboard_reaches_the_content_first_and_then_the_navigation(running, page) -> None:
    (url, _), (page, _) = running, page
    page.goto(f"{url}/assets")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"

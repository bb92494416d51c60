"""Two reviewers decide with four eyes, and who is on call takes, snoozes and hands off an incident: in a browser, to the effect."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from perdure.serve.hosting import Hosted
from perdure.surface.console.app import end

HERE = Path(__file__).resolve().parents[2] / "unit" / "surface" / "console"


def _world() -> Any:
    name = "console_world"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@pytest.fixture(scope="module")
def deciding(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, str]]:
    """A running console over the toy world: `console.acting["as"]` says who asks."""
    world = _world()
    console = world.open_console(world.make_world(tmp_path_factory.mktemp("deciding") / "shop"))
    hosted = Hosted(console.app, host="127.0.0.1", port=0, name="console", ending=lambda: end(console.app))
    yield console, hosted.start()
    hosted.stop()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page, as wide as a telephone; at the end nothing may have gone wrong on it, nor been asked of another host."""
    context = browser.new_context(viewport={"width": 390, "height": 844})
    wrong: list[str] = []
    context.on("console", lambda told: wrong.append(told.text) if told.type == "error" else None)
    context.on("weberror", lambda error: wrong.append(str(error.error)))
    context.on("request", lambda asked: wrong.append(asked.url) if "127.0.0.1" not in asked.url else None)
    yield context.new_page()
    context.close()
    assert wrong == []


@pytest.mark.slow
def test_two_reviewers_say_yes_and_the_second_decides(deciding: tuple[Any, str], page: Page) -> None:
    console, url = deciding
    console.acting["as"] = "rex:reviewer"
    page.goto(f"{url}/inbox")
    page.locator("#mine").get_by_role("link", name="Look at the evidence").click()
    expect(page.locator("#gates")).to_contain_text("better by 2.1 min")
    page.get_by_label("Why yes").fill("better on every slice")
    page.get_by_role("button", name="Approve").click()
    expect(page.locator("#decide")).to_contain_text("You said yes; 1 other person must say yes too.")
    expect(page.get_by_role("button", name="Approve")).to_have_count(0)
    console.acting["as"] = "roy:reviewer"
    page.reload()
    page.get_by_label("Why yes").fill("so do I")
    page.get_by_role("button", name="Approve").click()
    expect(page.locator("#decide")).to_contain_text("2 reviewers must say yes, 2 did")
    answered = [each for each in console.project.audit(limit=1000) if each.action == "approvals.answer"]
    assert [(each.actor, each.reason) for each in answered] == [("rex", "better on every slice"), ("roy", "so do I")]


@pytest.mark.slow
def test_who_is_on_call_takes_snoozes_and_hands_off_an_incident(deciding: tuple[Any, str], page: Page) -> None:
    console, url = deciding
    console.acting["as"] = "eve:engineer"
    page.goto(f"{url}/inbox?duty=on_call")
    page.locator("#incidents").get_by_role("link", name="Concept drift").click()
    mine = page.locator("form[action$='/take']")
    mine.get_by_label("Reason").fill("I know it")
    mine.get_by_role("button").click()
    expect(page.locator("#now")).to_contain_text("eve")
    asleep = page.locator("form[action$='/snooze']")
    asleep.get_by_label("Snooze for").select_option("24")
    asleep.get_by_label("Reason").fill("until the new version answers")
    asleep.get_by_role("button").click()
    expect(page.locator("#now")).to_contain_text("until the new version answers")
    given = page.locator("form[action$='/hand-off']")
    given.get_by_label("Hand off to").select_option("person:rex")
    given.get_by_label("What is to be done").fill("watch it")
    given.get_by_role("button").click()
    expect(page.locator("#now")).to_contain_text("watch it")
    console.acting["as"] = "rex:reviewer"
    page.goto(f"{url}/inbox")
    page.locator("#mine").get_by_label("Reason").fill("I do")
    page.locator("#mine").get_by_role("button", name="Take it").click()
    expect(page).to_have_url(re.compile("/incidents/inc_"))
    expect(page.locator("#now")).to_contain_text("rex")
    assert console.project.hand_offs() == []
    page.goto(f"{url}/inbox?duty=on_call")
    expect(page.locator("#incidents")).to_contain_text("1 more asleep")

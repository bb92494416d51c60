"""The journey of who writes prompts: what changed, what it did to each case, and a label, in a browser and in the ledger."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from perdure.serve.hosting import Hosted
from perdure.surface.console.app import end

HERE = Path(__file__).resolve().parents[2] / "unit" / "surface" / "console"


def _module(name: str) -> Any:
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[tuple[str, Any]]:
    """A running console over a toy project of everything that speaks, asked by a scientist; its address, and the project."""
    world, speaking = _module("console_world"), _module("language_world")
    # The browser's own event loop runs in this thread; what asks models runs another.
    with ThreadPoolExecutor(1) as elsewhere:
        folder = elsewhere.submit(speaking.make_language_world, tmp_path / "desk").result()
    console = world.open_console(folder)
    console.acting["as"] = "scientist"
    hosted = Hosted(console.app, host="127.0.0.1", port=0, name="console", ending=lambda: end(console.app))
    yield hosted.start(), console.project
    hosted.stop()


@pytest.mark.slow
def test_a_prompt_author_sees_what_a_change_did_case_by_case_and_labels_a_review(desk, browser: Browser) -> None:
    base, project = desk
    page, problems = browser.new_page(), []
    page.on("console", lambda told: problems.append(told.text) if told.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("dialog", lambda shown: problems.append(shown.message))

    page.goto(f"{base}/language")
    page.get_by_role("link", name="support.answer", exact=True).first.click()
    page.locator("#evals").get_by_role("link", name="evl_").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("numbers: worse")
    page.get_by_role("link", name="What differs in their texts").click()
    expect(page.locator("pre.diff .added").first).to_have_text("+Be kind.")
    page.go_back()

    page.get_by_role("link", name="Case by case").click()
    page.get_by_label("Flip").select_option("worse")
    page.get_by_role("button", name="Filter").click()
    case = page.locator("details.case").first
    case.locator("summary").first.click()
    expect(case.locator("ins").first).to_contain_text("<img src=x onerror=alert(1)>")

    page.goto(f"{base}/language/reviews")
    first = page.locator("#case code.id").first.inner_text()
    page.get_by_role("button", name="good", exact=True).click()
    expect(page.locator("#case code.id").first).not_to_have_text(first)
    with project.place.stores.ledger.read() as session:
        assert [(each.labeller, each.word) for each in session.reviews.get(first).labels] == [("sue", "good")]

    page.goto(f"{base}/language/graphs/post")
    assert page.locator("img.graph").evaluate("each => each.naturalWidth") > 100
    assert problems == []

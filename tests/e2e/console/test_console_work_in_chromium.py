"""Runs are filtered while one types and laid side by side, and the chain is verified, in a browser: no reload, no console error."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

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
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A running console over the toy world, asked by an engineer."""
    world = _world()
    console = world.open_console(world.make_world(tmp_path_factory.mktemp("work") / "shop"))
    console.acting["as"] = "engineer"
    hosted = Hosted(console.app, host="127.0.0.1", port=0, name="console", ending=lambda: end(console.app))
    yield hosted.start()
    hosted.stop()


@pytest.mark.slow
def test_runs_are_found_while_typing_and_compared_and_the_chain_is_verified(url: str, browser: Browser) -> None:
    context = browser.new_context()
    problems: list[str] = []
    context.on("console", lambda told: problems.append(told.text) if told.type == "error" else None)
    context.on("weberror", lambda error: problems.append(str(error.error)))
    page = context.new_page()
    page.goto(f"{url}/training")
    page.get_by_label("Find").press_sequentially("valid_mae<1.4")
    expect(page.locator("#runs-title")).to_contain_text("1 of 2 runs")
    expect(page.get_by_label("Find")).to_be_focused()
    assert page.url.endswith("/training")
    page.get_by_label("Find").fill("")
    expect(page.locator("#runs-title")).to_contain_text("2 runs")
    for run in ("run_1", "run_2"):
        page.get_by_label(f"Compare {run}").check()
    page.get_by_role("button", name="Compare what is ticked").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("2 runs compared")
    expect(page.locator("#metrics")).to_contain_text("best")

    page.goto(f"{url}/ledger/verify")
    page.get_by_role("button", name="Verify now").click()
    expect(page.locator("#job .lead")).to_contain_text("intact", timeout=20_000)
    page.goto(f"{url}/ledger")
    page.get_by_label("Action").press_sequentially("ledger.")
    expect(page.locator("#entries tbody tr")).to_have_count(1)
    expect(page.locator("#entries")).to_contain_text(re.compile("ledger.verified"))
    context.close()
    assert problems == []

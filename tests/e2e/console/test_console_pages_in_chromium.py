"""Every page of the console as a browser draws it: no barrier, nothing that its policy stops, nothing from elsewhere, in both themes and on a phone."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from perdure.serve.hosting import Hosted
from perdure.surface.console.app import end

AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js")
HERE = Path(__file__).resolve().parents[2] / "unit" / "surface" / "console"
_LOOK = """async (only) => {
  const found = await axe.run(document, only ? { runOnly: only } : { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] });
  return found.violations.filter((each) => ["serious", "critical"].includes(each.impact))
    .map((each) => [each.id, each.nodes.slice(0, 3).map((node) => node.html.slice(0, 200))]);
}"""


def _module(name: str) -> Any:
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@pytest.fixture(scope="module")
def consoles(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[tuple[str, list[str]]]]:
    """Two running consoles, asked by a person with every role, with the addresses of their pages: one of each."""
    world, walk = _module("console_world"), _module("page_walk")
    made = tmp_path_factory.mktemp("drawn")
    texts = world.Texts(
        purpose="<img src=x onerror=alert(1)>", owner='"><script>alert(1)</script>', reason="' onfocus=alert(1) autofocus='",
        summary="</script><svg onload=alert(1)>", slice="<div hx-get=/people hx-trigger=load>", question="javascript:alert(1)",
    )  # fmt: skip
    folders = [world.make_world(made / "shop", texts), _module("language_world").make_language_world(made / "desk")]
    opened, running, reached = [], [], set()
    for folder in folders:
        console = world.open_console(folder)
        console.acting["as"] = walk.EVERYBODY
        found, _ = walk.walk(console)
        first: dict[str, str] = {}
        for address, seen in found.items():
            if seen.answer.status == 200 and seen.page.name not in reached:
                first.setdefault(seen.page.name, address)
        reached |= set(first)
        hosted = Hosted(console.app, host="127.0.0.1", port=0, name="console", ending=lambda app=console.app: end(app))
        opened.append((hosted.start(), list(first.values())))
        running.append(hosted)
    yield opened
    for hosted in running:
        hosted.stop()


def _context(browser: Browser, width: int = 1280) -> tuple[BrowserContext, list[str]]:
    context = browser.new_context(viewport={"width": width, "height": 900}, timezone_id="Europe/Berlin", locale="en-GB", reduced_motion="reduce")  # fmt: skip
    problems: list[str] = []
    context.on("dialog", lambda dialog: problems.append(f"dialog: {dialog.message}"))
    context.on("console", lambda told: problems.append(told.text) if told.type in ("error", "warning") else None)
    context.on("weberror", lambda error: problems.append(str(error.error)))
    context.on("request", lambda asked: None if asked.url.startswith(("http://127.0.0.1:", "data:", "blob:")) else problems.append(asked.url))  # fmt: skip
    return context, problems


def _drawn(page: Page, base: str, address: str) -> None:
    page.goto(base + address, wait_until="load")
    page.evaluate(AXE.read_text("utf-8"))


@pytest.mark.slow
def test_no_page_has_a_barrier_in_either_theme_or_on_a_phone(consoles, browser: Browser) -> None:
    context, problems = _context(browser)
    page, barriers, wide = context.new_page(), [], []
    for base, addresses in consoles:
        for address in addresses:
            page.set_viewport_size({"width": 1280, "height": 900})
            page.emulate_media(color_scheme="light")
            _drawn(page, base, address)
            barriers += [(address, "light", each) for each in page.evaluate(_LOOK, None)]
            page.emulate_media(color_scheme="dark")
            barriers += [(address, "dark", each) for each in page.evaluate(_LOOK, ["color-contrast"])]
            page.set_viewport_size({"width": 390, "height": 844})
            barriers += [
                (address, "phone", each)
                for each in page.evaluate(_LOOK, ["target-size", "scrollable-region-focusable"])
            ]
            if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                wide.append(address)
    context.close()
    assert "\n".join(f"{address} {where}: {each[0]} {each[1]}" for address, where, each in barriers) == ""
    assert wide == []
    assert problems == []

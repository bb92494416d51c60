"""Names and texts longer than a page is wide: they break, and no page has to be pushed sideways to be read."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from perdure.serve.hosting import Hosted
from perdure.surface.console.app import end

WORLD = Path(__file__).resolve().parents[2] / "unit" / "surface" / "console" / "console_world.py"
LONG = "x" * 300
NAME = "eta_" + "of_the_long_way_" * 12


def _world() -> Any:
    if "console_world" not in sys.modules:
        spec = importlib.util.spec_from_file_location("console_world", WORLD)
        assert spec is not None
        assert spec.loader is not None
        sys.modules["console_world"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules["console_world"])
    return sys.modules["console_world"]


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Any:
    world = _world()
    texts = world.Texts(owner=LONG, reason=LONG, summary=LONG, slice=f"shop={LONG}", question=f"Release {LONG}")
    console = world.open_console(world.make_world(tmp_path_factory.mktemp("long") / "shop", texts))
    with console.project.place.stores.ledger.transaction(actor="eve", at=world.at(483), reason="first") as session:
        session.registry.put_asset("model", NAME, {"name": NAME})
        session.incidents.open(NAME, "decay", LONG, {})
    console.boards.refresh()
    console.acting["as"] = "rex:engineer,reviewer"
    return console


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_no_page_is_wider_than_its_window(console: Any, browser: Browser, width: int) -> None:
    hosted = Hosted(console.app, host="127.0.0.1", port=0, name="console", ending=lambda: end(console.app))
    base, page = hosted.start(), browser.new_page(viewport={"width": width, "height": 900})
    paths = ["/", "/inbox", "/assets/model/eta", f"/assets/model/{NAME}", "/approvals/apr_1", "/ledger", "/registry"]
    paths += [f"/incidents/{each.id}" for each in console.boards.now().incidents]
    over = {}
    for path in paths:
        page.goto(base + path)
        over[path[:40]] = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    page.close()
    hosted.stop()
    assert {path: n for path, n in over.items() if n > 0} == {}

"""What is declared no longer, or has never been: every page of it is there, no link leads nowhere, and nothing is said that did not happen."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import console_world
import pytest

ALL = "engineer,reviewer,admin"


@pytest.fixture
def undeclared(console_folder, tmp_path) -> Iterator[console_world.Console]:
    """The toy world after everything was taken out of its package."""
    folder = Path(shutil.copytree(console_folder, tmp_path / "shop"))
    (folder / "declared.py").write_text("", "utf-8")
    kept = sys.modules.pop("declared", None)
    yield console_world.open_console(folder)
    if kept is not None:
        sys.modules["declared"] = kept


def links(text: str) -> set[str]:
    found = {each.replace("&amp;", "&") for each in re.findall(r'href="(/[^"#]*)"', text)}
    return {each for each in found if not each.startswith(("/static", "/api"))}


def test_every_link_of_a_model_that_is_declared_no_longer_leads_to_a_page(undeclared):
    incident = undeclared.project.incidents()[0].id
    begin = ["/assets/model/eta", f"/incidents/{incident}", "/approvals/apr_1", "/registry/eta/history", "/assets"]
    asked: dict[str, int] = {}
    for path in begin:
        page = undeclared.get(path, as_=ALL)
        asked[path] = page.status
        for link in links(page.text) - asked.keys():
            asked[link] = undeclared.get(link, as_=ALL).status
    assert {path: status for path, status in asked.items() if status != 200} == {}
    assert len(asked) > 20


def test_where_the_loop_has_made_no_round_home_says_so(tmp_path):
    (tmp_path / "perdure.toml").write_text('[project]\nname = "new"\npackage = "nothing_declared"\n', "utf-8")
    (tmp_path / "nothing_declared.py").write_text("", "utf-8")
    text = console_world.open_console(tmp_path).get("/", as_=ALL).text
    assert "It has made no round yet." in text
    assert "Newest round" not in text


def test_home_tells_the_newest_round_where_there_is_one(console):
    assert console.get("/api", as_=ALL).json["data"]["loop"]["round_at"] == "2025-03-21T02:00:00Z"

"""The reference pages say what the code says: no setting, error or decision goes untold."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import pytest

from perdure.core.settings import setting_keys


@pytest.fixture(scope="module")
def reference(repository: Path) -> dict[str, Any]:
    """The module that writes the pages."""
    return runpy.run_path(str(repository / "tools" / "reference.py"))


@pytest.mark.parametrize("page", ["settings.md", "errors.md"])
def test_a_reference_page_is_what_the_code_says(repository: Path, reference: dict[str, Any], page: str) -> None:
    written = (repository / "docs" / page).read_text()

    assert written == reference["PAGES"][page](), "Run: make docs"


def test_every_setting_is_documented_with_a_sentence(repository: Path) -> None:
    text = (repository / "docs" / "settings.md").read_text()
    sections = dict(re.findall(r"## \[(\w+)\]\n(.*?)(?=\n## |\Z)", text, re.DOTALL))

    for key in setting_keys():
        section, name = key.split(".")
        assert re.search(rf"^\| `{name}` \| \w+ \| `[^`]+` \| .+ \|$", sections[section], re.MULTILINE), key


def test_every_decision_has_its_four_parts(repository: Path) -> None:
    decisions = sorted((repository / "docs" / "decisions").glob("*.md"))

    assert [page.name[:4] for page in decisions] == [f"{number:04}" for number in range(1, len(decisions) + 1)]
    for page in decisions:
        assert re.findall(r"^## (.+)$", page.read_text(), re.MULTILINE) == [
            "Context",
            "Choice",
            "Cost",
            "When to look again",
        ]

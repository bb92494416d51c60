"""Every Python example of the README and the docs runs, page by page, in an empty folder.

The blocks of a page share one module, so a page reads from top to bottom. Lines keep their numbers:
a failure points at the line of the page. A block that begins with ">>>" is a doctest; one that is
marked `python no-run` is skipped.
"""

from __future__ import annotations

import doctest
import importlib.util
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(?P<info>.*)$")


def page_id(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(text: str) -> list[tuple[int, str, str]]:
    """(line of its first line, info string, code) of each fenced block."""
    found, start, info, code = [], 0, None, []
    for number, line in enumerate(text.splitlines(), 1):
        match = FENCE.match(line)
        if match is None:
            code.append(line)
        elif info is None:
            start, info, code = number + 1, match["info"].strip(), []
        else:
            found.append((start, info, "\n".join(code) + "\n"))
            info = None
    return found


def program(text: str) -> str:
    """The page's code, each line at the number it has on the page."""
    lines = [""] * (len(text.splitlines()) + 1)
    for start, info, code in blocks(text):
        if info == "python" and not code.startswith(">>>"):
            for offset, line in enumerate(code.splitlines()):
                lines[start - 1 + offset] = line
    return "\n".join(lines)


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_the_examples_of_a_page_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = page.read_text()
    name = "page_" + re.sub(r"\W", "_", page.stem)
    file = tmp_path / f"{name}.py"
    file.write_text(program(text))
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)

    spec.loader.exec_module(module)

    for start, info, code in blocks(text):
        if info == "python" and code.startswith(">>>"):
            test = doctest.DocTestParser().get_doctest(code, vars(module), page.name, str(page), start - 1)
            assert doctest.DocTestRunner().run(test).failed == 0


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_a_block_of_python_is_marked_so_that_it_runs_or_says_that_it_does_not(page: Path) -> None:
    infos = {info for _, info, _ in blocks(page.read_text())}

    assert {info for info in infos if info.startswith(("py", "Py"))} <= {"python", "python no-run"}


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_a_link_to_a_file_leads_to_one(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?://|#|mailto:)([^)#]+)", page.read_text())

    assert [target for target in targets if not (page.parent / target).exists()] == []

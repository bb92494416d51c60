"""Files and functions stay small, and are named for what they hold."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src" / "perdure"
MODULES = sorted(SOURCE.rglob("*.py"))
NAMES_OF_NOTHING = {"utils", "util", "helpers", "helper", "common", "misc", "base", "manager"}
# `judge` and `index` are left out: they are ordinary words of the loop, too.
KINDS = {"model", "models", "prompt", "prompts", "guardrail", "guardrails", "feature", "features", "retrieval"}


def module_id(path: Path) -> str:
    return str(path.relative_to(SOURCE))


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("path", MODULES, ids=module_id)
def test_a_module_is_at_most_600_lines_and_its_functions_80(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 600
    assert [each.name for each in functions(path) if (each.end_lineno or 0) - each.lineno >= 80] == []


def test_most_modules_are_at_most_400_lines() -> None:
    lengths = sorted(len(path.read_text().splitlines()) for path in MODULES)

    assert lengths[int(len(lengths) * 0.9)] <= 400


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert [module_id(path) for path in MODULES if path.stem in NAMES_OF_NOTHING] == []


def test_folders_are_at_most_three_deep() -> None:
    """Alembic's own layout, migrations/versions, is as Alembic wants it."""
    own = [path.relative_to(SOURCE) for path in MODULES if path.parent.name != "versions"]

    assert [str(path) for path in own if len(path.parents) > 4] == []


@pytest.mark.parametrize("path", sorted((SOURCE / "loop").glob("*.py")), ids=module_id)
def test_the_loop_s_code_names_no_kind_of_asset(path: Path) -> None:
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text()).readline)
    names = {token.string for token in tokens if token.type == tokenize.NAME} - {"model_fields"}  # Pydantic's word
    words = {word for name in names for word in name.lower().split("_")}

    assert words & KINDS == set()

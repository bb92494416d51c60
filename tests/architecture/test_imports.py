"""`import perdure` is quick and brings in no library; what it exports is what it lists."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import perdure

HEAVY = {"deltalake", "lightgbm", "onnx", "onnxruntime", "optuna", "pandas", "polars", "pyarrow", "scipy", "sklearn"}
HEAVY |= {"sqlalchemy", "alembic", "uvicorn", "rich", "typer"}
PROBE = """
import json, sys, time
start = time.process_time()
{statement}
cpu_s = time.process_time() - start
print(json.dumps({{"cpu_s": cpu_s, "modules": sorted({{name.split(".")[0] for name in sys.modules}})}}))
"""


def probe(statement: str) -> dict[str, Any]:
    """CPU seconds and top-level modules of a fresh interpreter that runs `statement`."""
    code = PROBE.format(statement=statement)
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded: dict[str, Any] = json.loads(found.stdout)
    return loaded


def test_importing_perdure_takes_less_than_100_ms_of_cpu_and_no_library() -> None:
    runs = [probe("import perdure") for _ in range(3)]

    outside = set(runs[0]["modules"]) - set(sys.stdlib_module_names) - {"perdure", "__main__"}
    assert {name for name in outside if not name.startswith(("_", "sitecustomize"))} == set()
    assert min(run["cpu_s"] for run in runs) < 0.1


def test_declaring_assets_brings_in_no_heavy_library() -> None:
    loaded = probe("from perdure import Contract, Label, Model, Policy, Source, csv, feature_view, mae, when")

    assert set(loaded["modules"]) & HEAVY == set()


@pytest.mark.parametrize("name", perdure.__all__)
def test_every_exported_name_is_there(name: str) -> None:
    assert getattr(perdure, name) is not None


def test_type_checkers_see_exactly_what_is_exported() -> None:
    tree = ast.parse(Path(perdure.__file__).read_bytes())
    seen = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("perdure.")
        for alias in node.names
    }

    assert seen | {"__version__"} == set(perdure.__all__) == set(dir(perdure))


def test_a_name_that_is_not_exported_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'mea'"):
        perdure.mea  # noqa: B018 - the look-up is the test

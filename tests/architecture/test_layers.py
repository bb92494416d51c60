"""The layers' import rules are alive: every planted violation is found, in a copy of the tree."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# Module to plant → what it imports, and the contract that must break.
PLANTED = {
    "core.planted": ("perdure.assets.policy", "core <- assets"),
    "assets.planted": ("perdure.stores.ledger.protocols", "core <- assets"),
    "stores.lake.planted": ("perdure.engines.features", "core <- assets"),
    "engines.drift.planted": ("perdure.stores.lake.protocols", "core <- assets"),
    "stores.online.planted": ("perdure.durable", "core <- assets"),
    "durable.planted": ("perdure.loop.protocols", "core <- assets"),
    "loop.planted": ("perdure.serve", "core <- assets"),
    "serve.planted": ("perdure.loop.protocols", "core <- assets"),
    "serve.scoring.planted": ("perdure.surface.project", "core <- assets"),
    "engines.explain.planted": ("perdure.engines.drift", "each engine is unaware"),
    "loop.planted_kind": ("perdure.assets.model", "the loop names no kind"),
    "testing.planted": ("perdure.surface.project", "testing is public"),
    "stores.blobs.planted": ("perdure.testing", "nothing that ships stands on testing"),
    "loop.planted_driver": ("sqlalchemy", "sqlalchemy and alembic"),
    "stores.planted": ("alembic", "sqlalchemy and alembic"),
    "loop.work.planted": ("deltalake", "deltalake"),
    "engines.profile.planted": ("lightgbm", "training libraries"),
    "serve.planted_session": ("onnxruntime", "training libraries"),
    "surface.planted_server": ("uvicorn", "uvicorn"),
    "core.planted_output": ("rich", "typer and rich"),
    "serve.planted_output": ("typer", "typer and rich"),
}


@pytest.fixture(scope="module")
def told(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What lint-imports says of a copy of the tree with every violation planted."""
    copy = tmp_path_factory.mktemp("planted")
    shutil.copytree(repository / "src", copy / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(repository / "pyproject.toml", copy)
    for module, (imported, _) in PLANTED.items():
        (copy / "src" / "perdure" / f"{module.replace('.', '/')}.py").write_text(f"import {imported}\n")
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-logo", "--no-cache"],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy / "src"), "COLUMNS": "300", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("module", PLANTED)
def test_a_planted_import_breaks_its_contract(told: str, module: str) -> None:
    imported, contract = PLANTED[module]
    summary, _, details = told.partition("Broken contracts")

    assert any(line.startswith(contract) and "BROKEN" in line for line in summary.splitlines())
    assert f"perdure.{module} -> {imported} " in details.replace("(", " (").replace("  ", " ")

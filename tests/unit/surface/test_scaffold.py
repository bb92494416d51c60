"""What `perdure init` writes is clean Python, takes every row of its file, and trains."""

from __future__ import annotations

import compileall
import json
import random
import subprocess
import sys
from pathlib import Path
from shlex import quote

import pytest

from perdure.loop.work.feed import Feeds
from perdure.surface.scaffold import Columns, make_project
from perdure.surface.sdk import open_project

HEADER = 'Row Id,sold at,class,2nd,a b,a_b,empty,flag,day,zip,json,datetime,hour,"say ""hi""",price €,churned'


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """A file of odd names, gaps, dates, booleans, codes and a label that is missing at times."""
    draw = random.Random(1)
    lines = [HEADER]
    for n in range(400):
        price = "" if n % 20 == 0 else f"{n % 7 * 2.5 + draw.random():.2f}"
        day = f"2025-01-{1 + n % 28:02d}"
        cells = (n, f"{day} 08:{n % 60:02d}", "ab"[n % 2], draw.random(), n % 3, -n, "", ["true", "False"][n % 2], day,
                 f"{n % 100:05d}", "NA" if n == 5 else "{}", day, n % 24, '"a ""b"""', price, int(draw.random() < n % 7 / 7))  # fmt: skip
        lines.append(",".join(map(str, cells)))
    file = tmp_path_factory.mktemp("odd") / 'it\'s "odd".csv'
    file.write_text("\n".join(lines) + "\n", "utf-8")
    return file


def made(folder: Path, csv: Path | None = None, label: str = "price €"):
    make_project(folder, csv, Columns(label=label, time="sold at", key="Row Id"))
    return open_project(folder)


@pytest.mark.parametrize("label", ["price €", "churned", None])
def test_what_is_written_compiles_and_lints_by_the_default_rules(odd, tmp_path, label):
    made(tmp_path / "p", odd if label else None, label or "")
    assert compileall.compile_dir(tmp_path / "p", quiet=2, force=True)
    ruff = Path(sys.executable).parent / "ruff"
    for words in ("check", "format --check --line-length 120"):
        command = [ruff, *words.split(), "--isolated", "."]
        done = subprocess.run(command, cwd=tmp_path / "p", capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("label", ["price €", "churned", None])
def test_every_row_fits_its_contract_and_check_has_nothing_to_say(odd, tmp_path, label):
    opened = made(tmp_path / "p", odd if label else None, label or "")
    assert opened.check() == []
    for source in opened.project.sources.values():
        rows = Feeds().rows(source)
        assert (rows.bad["errors"].to_list(), rows.good.height) == ([], 400 if label else 4000)


@pytest.mark.parametrize(("label", "metric"), [("price €", "valid_mae"), ("churned", "valid_accuracy")])
def test_a_model_of_odd_columns_trains(cli, odd, tmp_path, label, metric):
    cli(f"perdure init p --csv {quote(str(odd))} --label '{label}' --time 'sold at' --key 'Row Id'", tmp_path)
    told = json.loads(cli("perdure train p --at 2025-02-15 --json", tmp_path / "p").out)
    bound = {"valid_mae": lambda value: value < 1.0, "valid_accuracy": lambda value: value > 0.6}[metric]
    assert bound(told["metrics"][metric])
    assert told["dataset"]["counts"]["n_unlabelled"] == (20 if metric == "valid_mae" else 0)


@pytest.mark.parametrize(
    ("folder", "name"),
    [("orders", "orders"), ("My Shop", "my_shop"), ("json", "json_project"), ("polars", "polars_project"),
     ("perdure", "perdure_project"), ("2025", "project_2025"), ("class", "class_"), ("model", "model")],
)  # fmt: skip
def test_the_package_is_called_like_its_folder_unless_that_hides_a_library(tmp_path, folder, name):
    assert make_project(tmp_path / folder, None, Columns()).model == name
    [model] = open_project(tmp_path / folder).project.models
    assert model == name

"""The example for CI servers runs as it stands, and the workflow for GitHub has the very same steps."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import yaml

BIN = Path(sys.executable).parent
TEST = """
from orders.features import inputs

def test_the_hour_is_a_feature():
    assert "hour" in inputs.features
"""


@pytest.fixture(scope="module")
def example(repository: Path) -> Path:
    return repository / "examples" / "ci"


@pytest.fixture
def checkout(tmp_path, cli):
    """A repository with a project and a test on `main`, and a branch that changes the project."""
    cli("perdure init orders", tmp_path)
    folder = tmp_path / "orders"
    (folder / "test_features.py").write_text(TEST)
    (folder / ".gitignore").write_text(".base/\n.perdure/\n__pycache__/\n.summary.md\n")
    git(folder, "init", "--quiet", "--initial-branch=main")
    commit(folder)
    git(folder, "checkout", "--quiet", "-b", "change")
    return folder


def git(folder: Path, *words: str) -> None:
    who = {f"GIT_{role}_{what}": "ann@example.org" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    none = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    subprocess.run(["git", *words], cwd=folder, env={**os.environ, **who, **none}, check=True, capture_output=True)


def commit(folder: Path) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "change")


def run(example: Path, folder: Path, what: str, **environment: str) -> subprocess.CompletedProcess[str]:
    plugins = {"PYTEST_ADDOPTS": "-q -p no:cacheprovider -p no:randomly -p no:hypothesispytest", "BASE": "main"}
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", example / "check.sh", *what.split()],
        cwd=folder,
        env={**os.environ, "PATH": path, **plugins, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_branch_is_refused_for_its_risk_and_passes_once_it_is_allowed(example, checkout, tmp_path):
    model = checkout / "orders" / "model.py"
    model.write_text(model.read_text().replace("<= 50.0", "<= 80.0"))
    commit(checkout)
    summary = tmp_path / "summary.md"

    refused = run(example, checkout, "pull-request", SUMMARY=str(summary))
    assert refused.returncode == 5, refused.stdout + refused.stderr
    assert "== tests" not in refused.stdout
    assert summary.read_text().startswith("## perdure check: refused\n")
    allowed = run(example, checkout, "pull-request", ALLOW="loosened,")
    assert allowed.returncode == 0, allowed.stdout + allowed.stderr
    assert "**loosened** (allowed)" in allowed.stdout
    assert "1 passed" in allowed.stdout


def test_on_main_the_tests_run_and_the_plan_is_told(example, checkout):
    done = run(example, checkout, "main")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
    assert re.search(r"== plan\n(.*\n)*.*orders", done.stdout)


def test_the_workflow_s_steps_are_those_of_the_script_word_for_word(example):
    script = (example / "check.sh").read_text()
    functions = {
        name: textwrap.dedent(body)
        for name, body in re.findall(r"^(\w+)\(\) \(\n(.*?)^\)$", script, re.DOTALL | re.MULTILINE)
    }
    orders = dict(re.findall(r"^  ([\w-]+)\) steps ([\w ]+) ;;$", script, re.MULTILINE))
    workflow = yaml.safe_load((example / "github-workflow.yml").read_text())

    assert workflow.keys() >= {"name", "jobs", "permissions"}
    assert workflow["jobs"].keys() == orders.keys() == {"pull-request", "main"}
    for name, job in workflow["jobs"].items():
        steps = [step for step in job["steps"] if "run" in step]
        assert [step["id"] for step in steps] == orders[name].split()
        assert {step["id"]: step["run"] for step in steps} == {step["id"]: functions[step["id"]] for step in steps}


def test_the_workflow_gives_every_variable_of_its_steps_and_accepts_every_risk_by_its_label(example):
    from perdure.surface.ci.records import RISKS

    workflow = yaml.safe_load((example / "github-workflow.yml").read_text())
    job = workflow["jobs"]["pull-request"]
    used = set(re.findall(r"\$\{?([A-Z_]+)", " ".join(step.get("run", "") for step in job["steps"])))

    assert used - {"SUMMARY", "GITHUB_STEP_SUMMARY"} == {*workflow["env"], *job["env"]}
    assert re.findall(r"'allow-(\w+)'\) && '(\w+),'", job["env"]["ALLOW"]) == [(risk, risk) for risk in RISKS]


def test_the_script_says_how_it_is_used(example, tmp_path):
    assert run(example, tmp_path, "").returncode == 2

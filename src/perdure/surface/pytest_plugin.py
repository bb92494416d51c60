"""The pytest plugin: `@pytest.mark.eval`, the fixture `evals`, a budget for all of a run, and what it cost at the end.

Loaded in every pytest run of an environment that has perdure, so it costs next to nothing until a test asks for `evals`: what
runs suites is in `eval_testing`, imported then. Under pytest-xdist one file with a lock holds what all workers spent.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from perdure.surface.eval_testing import Evals
    from perdure.surface.sdk import Perdure

PROPERTY = "perdure_eval"
"""Under which a test's report tells its evals: it goes from a worker to whoever prints."""
_BUDGET = "perdure_eval_budget"
_MARKER = (
    "eval(suite=None, prompt=None): asks models by a suite; suite and prompt are what `evals.run()` runs by default"
)
_FILE = pytest.StashKey[str]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of evals."""
    group = parser.getgroup("perdure", "evals of prompts and models")
    group.addoption(
        "--eval-budget-usd", type=float, metavar="USD", help="what all evals of this run may spend together"
    )
    group.addoption(
        "--eval-samples", type=int, metavar="N", help="answers asked for each case, in place of the suite's"
    )
    group.addoption(
        "--eval-strict", action="store_true", help="not enough evidence fails a test instead of skipping it"
    )
    parser.addini("perdure_project", "folder of the perdure project; by default pytest's own root", default="")


def pytest_configure(config: pytest.Config) -> None:
    """Name the marker, and make the file of the budget."""
    config.addinivalue_line("markers", _MARKER)
    config.pluginmanager.register(_Told(), "perdure-evals-told")
    budget = config.getoption("--eval-budget-usd")
    if budget is None:
        return
    if not 0.0 <= budget < float("inf"):
        raise pytest.UsageError(f"--eval-budget-usd is {budget!r}, but it must be 0 or more.")
    given = getattr(config, "workerinput", {}).get(_BUDGET)
    if given is None:
        handle, given = tempfile.mkstemp(prefix="perdure-evals-", suffix=".json")
        os.close(handle)
        config.add_cleanup(lambda: Path(given).unlink(missing_ok=True))
    config.stash[_FILE] = given


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of pytest-xdist where the budget is."""
    if _FILE in node.config.stash:
        node.workerinput[_BUDGET] = node.config.stash[_FILE]


@pytest.fixture(scope="session")
def eval_project(pytestconfig: pytest.Config) -> Perdure:
    """The project whose suites are run; a conftest may give another one."""
    from perdure.surface.sdk import open_project

    named = pytestconfig.getini("perdure_project")
    return open_project(pytestconfig.rootpath / named)


@pytest.fixture
def evals(request: pytest.FixtureRequest, eval_project: Perdure) -> Evals:
    """Runs suites of the project: `evals.run("refunds").assert_at_least(0.9)`."""
    from perdure.surface.eval_testing import Budget, Evals, EvalSettingsGiven

    config = request.config
    marker = request.node.get_closest_marker("eval")
    given = EvalSettingsGiven(
        suite=(marker.args[0] if marker and marker.args else (marker.kwargs.get("suite") if marker else None)),
        prompt=marker.kwargs.get("prompt") if marker else None,
        n_samples=config.getoption("--eval-samples"),
        strict=config.getoption("--eval-strict"),
        budget=Budget(Path(config.stash[_FILE]), config.getoption("--eval-budget-usd"))
        if _FILE in config.stash
        else None,
    )
    return Evals(eval_project, given, lambda told: request.node.user_properties.append((PROPERTY, json.dumps(told))))


class _Told:
    """Keeps what tests' evals told, and prints it at the end. One a run of pytest."""

    def __init__(self) -> None:
        self.evals: list[dict[str, Any]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """With pytest-xdist reports come from other processes, with what they tell."""
        if report.when == "teardown":
            self.evals += [json.loads(str(value)) for name, value in report.user_properties if name == PROPERTY]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
        """What was measured, and what it cost."""
        if not self.evals:
            return
        from perdure.surface.words import counted, money

        limit = config.getoption("--eval-budget-usd")
        spent = sum(each["spent_usd"] for each in self.evals)
        of = f" of {money(limit)}" if limit is not None else ""
        terminalreporter.section("evals")
        for each in self.evals:
            cached = f", {each['n_cached']:,} known already" if each["n_cached"] else ""
            told = f"{counted(each['n_answers'], 'answer')}{cached}, {money(each['spent_usd'])}"
            terminalreporter.line(f"{each['suite']}  {each['versions']}  {each['score']}  {told}")
        terminalreporter.line(f"{counted(len(self.evals), 'eval')}, {money(spent)}{of}")

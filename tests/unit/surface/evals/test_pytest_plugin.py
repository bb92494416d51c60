"""The pytest plugin, run by pytest: assertions on proof, answers that are asked once, one budget for all, and what it costs to load."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

from perdure.surface.eval_asking import Asking
from perdure.surface.eval_here import run_eval
from perdure.surface.eval_testing import Evals  # noqa: F401 - loaded once, as all that `loaded` loads
from perdure.surface.report.versus import write_versus

pytest_plugins = ["pytester"]

CONFTEST = '''
from dataclasses import replace
from pathlib import Path

import pytest

from perdure import Perdure, Project, Prompt, Route, Target, Upstream
from perdure.assets.route import UnitPrices
from perdure.assets.scorers import Exact
from perdure.assets.suite import Case, Suite
from perdure.core.ports import Answered
from perdure.core.usage import Usage

ASKED = Path(__file__).with_name("asked.txt")


class Model:
    """Right but for the numbers below `wrong`; counts what it is asked."""

    async def ask(self, asked):
        with ASKED.open("a") as log:
            log.write("x")
        text = asked.messages[-1]["content"]
        number = int(text.split()[-1])
        right = number >= (30 if "badly" in text else 2 if "well" in text else 0)
        return Answered({"content": str(number) if right else "no idea"}, "stop", Usage(n_input=10, n_output=2), 1_000_000_000, 1000, "up/m", "c1")

    async def close(self):
        pass


def project(folder, wording):
    upstream = Upstream("up", "http://127.0.0.1:9/v1")
    route = Route("main", [Target(upstream, "m", prices=UnitPrices(input=1, output=1))], params={"max_tokens": 10})
    prompt = Prompt("echo", [("user", f"Say {wording} the number {{{{ n }}}}")], "main", {"n": int})
    cases = [Case(f"n{n}", {"n": n}, str(n), cluster=f"k{n}") for n in range(60)]
    suite = Suite("numbers", cases, [Exact()], prompt="echo")
    found = Perdure(folder / "p", project=Project.of("p", route, prompt, suite))
    found.place = replace(found.place, open_answerer=Model)
    return found


@pytest.fixture(scope="session")
def eval_project(tmp_path_factory, request):
    folder = Path(__file__).parent
    released = project(folder, "well")
    with released.place.stores.ledger.read() as session:
        fresh = not session.pointers.list("echo")
    if fresh and not getattr(request.config, "workerinput", None):
        released.apply()
    return project(folder, (folder / "wording.txt").read_text())
'''


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """Every library once: pytester takes out again what a run within this process imports, and compiled ones break by that."""
    folder = tmp_path_factory.mktemp("loaded")
    (folder / "conftest.py").write_text(CONFTEST)
    spec = importlib.util.spec_from_file_location("loaded_conftest", folder / "conftest.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    released = module.project(folder, "well")
    released.apply()
    told = run_eval(released, released.project.suites["numbers"], ("champion", "declared"), Asking(budget_usd=1.0))
    write_versus(told, folder / "page.html")


@pytest.fixture
def inner(loaded, pytester: pytest.Pytester):
    """A project in a folder, whose model is made up; runs its tests in this process."""
    pytester.makeconftest(CONFTEST)
    pytester.makefile(".txt", wording="well")

    def run(body: str, *options: str, wording: str = "well") -> pytest.RunResult:
        pytester.makefile(".txt", wording=wording)
        pytester.makepyfile(body)
        return pytester.runpytest_inprocess("-p", "no:randomly", "-p", "no:cacheprovider", "-rs", *options)

    return run


def asked(pytester: pytest.Pytester) -> int:
    log = pytester.path / "asked.txt"
    return len(log.read_text()) if log.exists() else 0


AT_LEAST = """
import pytest

@pytest.mark.eval(suite="numbers")
def test_numbers(evals):
    result = evals.run()
    assert result.score.n == 60
    result.assert_at_least({bound})
"""


def test_a_score_passes_when_the_lower_end_of_its_interval_reaches_the_bound(inner):
    inner(AT_LEAST.format(bound=0.85)).assert_outcomes(passed=1)


def test_where_proof_is_missing_a_test_is_skipped_and_fails_when_strict(inner):
    found = inner(AT_LEAST.format(bound=0.95))
    found.assert_outcomes(skipped=1)
    found.stdout.fnmatch_lines(["*numbers: 96.7% (*not proven to be at least 95.0%*"])
    inner(AT_LEAST.format(bound=0.95), "--eval-strict").assert_outcomes(failed=1)


def test_below_the_bound_it_fails_in_words_with_the_failing_cases(inner):
    found = inner(AT_LEAST.format(bound=0.99))
    found.assert_outcomes(failed=1)
    found.stdout.fnmatch_lines(
        ["*AssertionError: numbers: 96.7% (* for echo@* is less than 99.0%", "*n0: score 0.00*", "*n1: score 0.00*"]
    )
    found.stdout.no_fnmatch_line("*eval_testing.py*")


def test_an_answer_is_asked_once_whatever_runs_it_again(inner, pytester):
    first = inner(AT_LEAST.format(bound=0.85))
    assert asked(pytester) == 60
    first.stdout.fnmatch_lines(["*= evals =*", "numbers  echo@*  96.7% (*  60 answers, $0.06", "1 eval, $0.06"])
    again = inner(AT_LEAST.format(bound=0.85))
    assert asked(pytester) == 60
    again.stdout.fnmatch_lines(["*60 answers, 60 known already, $0.00"])


NOT_WORSE = """
def test_numbers(evals):
    evals.run("numbers", prompt="echo").assert_not_worse(than="champion", margin={margin})
"""


def test_the_released_version_is_not_worse_than_itself_and_that_costs_one_run(inner, pytester):
    inner(NOT_WORSE.format(margin=0.02)).assert_outcomes(passed=1)
    assert asked(pytester) == 60


def test_a_worse_wording_fails_with_what_got_worse(inner):
    found = inner(NOT_WORSE.format(margin=0.02), wording="badly")
    found.assert_outcomes(failed=1)
    found.stdout.fnmatch_lines(
        ["*numbers: worse: -46.7 points*", "*n*: -100.0 points; *", "*and 20 cases more: Result.write_page*"]
    )


def test_a_wording_within_the_margin_passes_and_within_a_narrow_one_is_not_proven(inner):
    inner(NOT_WORSE.format(margin=0.15), wording="plainly").assert_outcomes(passed=1)
    better = "def test_numbers(evals):\n    evals.run('numbers').assert_better()\n"
    found = inner(better, wording="plainly")
    found.assert_outcomes(skipped=1)
    found.stdout.fnmatch_lines(["*not enough evidence*"])
    inner(better).assert_outcomes(failed=1)


def test_a_version_that_nothing_was_released_before_is_skipped(inner, pytester):
    body = NOT_WORSE.format(margin=0.02) + "\nimport conftest\n"
    (pytester.path / "conftest.py").write_text(CONFTEST.replace("released.apply()", "pass"))
    found = inner(body.replace("\nimport conftest\n", ""))
    found.assert_outcomes(skipped=1)
    found.stdout.fnmatch_lines(["*nothing to compare with*"])


def test_the_budget_of_all_of_a_run_is_never_passed(inner, pytester):
    body = (
        AT_LEAST.format(bound=0.5)
        + "\ndef test_again(evals):\n    evals.run('numbers', n_samples=2).assert_at_least(0.5)\n"
    )
    found = inner(body, "--eval-budget-usd", "0.08")
    found.assert_outcomes(passed=1, skipped=1)
    found.stdout.fnmatch_lines(["2 evals, $0.0* of $0.08", "*partial: *budget*"])
    assert 60 < asked(pytester) <= 80
    inner(body, "--eval-budget-usd", "-1").stderr.fnmatch_lines(["*--eval-budget-usd is -1.0*"])


def test_workers_of_xdist_share_the_budget_and_their_costs_are_printed_once(inner, pytester):
    body = """
import pytest

@pytest.mark.parametrize("n", range(4))
def test_numbers(evals, n):
    evals.run("numbers", n_samples=n + 1)
"""
    inner("def test_released(eval_project):\n    pass\n")
    found = inner(body, "-n", "2", "--eval-budget-usd", "0.1")
    found.assert_outcomes(passed=4)
    assert asked(pytester) <= 100
    found.stdout.fnmatch_lines(["4 evals, $0.1* of $0.1*"])


def test_more_samples_may_be_asked_for_on_the_command_line(inner, pytester):
    inner(AT_LEAST.format(bound=0.85), "--eval-samples", "2").assert_outcomes(passed=1)
    assert asked(pytester) == 120


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("evals.run('numbrs')", "*There is no suite 'numbrs'. Did you mean 'numbers'?*"),
        ("evals.run('numbers', prompt='other')", "*Suite 'numbers' tests 'echo', not 'other'.*"),
        ("evals.run()", "*No suite is named.*"),
    ],
)
def test_a_wrong_name_is_told_with_what_to_write(inner, call, words):
    found = inner(f"def test_numbers(evals):\n    {call}\n")
    found.assert_outcomes(failed=1)
    found.stdout.fnmatch_lines([words])


def test_the_page_is_written_where_a_test_asks_for_it(inner, pytester):
    inner(
        "def test_numbers(evals, tmp_path):\n"
        "    page = evals.run('numbers').write_page('page.html', than='champion')\n"
        "    assert 'echo@' in page.read_text()\n",
        wording="badly",
    ).assert_outcomes(passed=1)
    assert "Verdict:" in (pytester.path / "page.html").read_text()


def test_a_run_of_pytest_without_evals_loads_nothing_and_takes_less_than_5_ms():
    probe = """
import pytest, sys, time
before = set(sys.modules)
start = time.process_time()
import perdure.surface.pytest_plugin
took = time.process_time() - start
print(took, *sorted(name for name in set(sys.modules) - before))
"""
    runs = [
        subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout.split()
        for _ in range(3)
    ]
    assert set(runs[0][1:]) <= {"perdure", "perdure.surface", "perdure.surface.pytest_plugin"}
    assert min(float(run[0]) for run in runs) < 0.005

"""A pull request's suites: which are run for what change, on which versions, and what refuses."""

from __future__ import annotations

from dataclasses import replace

import pytest
from junitparser import JUnitXml

from perdure import Perdure, Project, Prompt, Route, Target, Upstream
from perdure.assets.route import UnitPrices
from perdure.assets.scorers import Exact, TokenF1
from perdure.assets.suite import Case, Suite
from perdure.core.ports import Answered
from perdure.core.usage import Usage
from perdure.loop.work.evals.running import find_run
from perdure.surface.ci.evals import review_evals
from perdure.surface.eval_asking import Asking
from perdure.surface.eval_gates import gates_of
from perdure.surface.eval_junit import junit_xml
from perdure.surface.eval_markdown import evals_markdown


class Model:
    """Answers the number that it is asked for; wrong for most where it is asked badly."""

    n_asked = 0

    async def ask(self, asked):
        Model.n_asked += 1
        text = asked.messages[-1]["content"]
        number = int(text.split()[-1])
        right = not ("badly" in text and number % 3)
        return Answered(
            {"content": str(number) if right else "no idea"},
            "stop",
            Usage(n_input=9, n_output=2),
            1_000_000,
            10,
            "up/m",
            "c",
        )

    async def close(self):
        pass


def opened(folder, wording="well", model="m", scorers=(), healthy=()):
    upstream = Upstream("up", "http://127.0.0.1:9/v1")
    prices = UnitPrices(input=1, output=1)
    routes = [Route(name, [Target(upstream, model, prices=prices)]) for name in ("main", "other")]
    prompts = [
        Prompt("echo", [("user", f"Say {wording} {{{{ n }}}}")], "main", {"n": int}, healthy=healthy),
        Prompt("still", [("user", "Say {{ n }}")], "other", {"n": int}),
    ]
    cases = [Case(f"n{n}", {"n": n}, str(n), cluster=f"k{n}") for n in range(40)]
    suites = [
        Suite("numbers", cases, scorers or [Exact()], prompt="echo"),
        Suite("others", cases, [Exact()], prompt="still", route="other"),
    ]
    found = Perdure(folder, project=Project.of("p", *routes, *prompts, *suites))
    found.place = replace(found.place, open_answerer=Model)
    return found


@pytest.fixture
def base(tmp_path):
    """A deployment to which `well` was applied; its ledger is the base."""
    released = opened(tmp_path / "base")
    released.apply()
    Model.n_asked = 0
    return tmp_path / "base" / ".perdure" / "ledger.db"


def reviewed(tmp_path, base, **declared):
    return review_evals(opened(tmp_path / "head", **declared), base, Asking())


def test_nothing_is_asked_where_nothing_changed(tmp_path, base):
    review = reviewed(tmp_path, base)
    assert (review.evals, review.exit_code, Model.n_asked) == ((), 0, 0)


def test_a_worse_wording_is_refused_by_its_suite_alone(tmp_path, base):
    review = reviewed(tmp_path, base, wording="badly")
    [told] = review.evals
    assert (told.suite, review.refused, review.exit_code) == ("numbers", ("numbers",), 5)
    assert [(each.gate, each.passed) for each in told.gates] == [("not_worse", False), ("answered", True)]
    assert [side.subject.partition("@")[0] for side in told.sides] == ["echo", "echo"]
    assert review.why == {"numbers": "the prompt echo is another one"}
    page = evals_markdown(review.evals, why=review.why)
    assert page.startswith("## perdure evals: worse\n")
    assert "Run because the prompt echo is another one." in page
    [suite] = JUnitXml.fromstring(junit_xml(review.evals))
    assert (suite.tests, suite.failures) == (2, 1)


def test_a_run_of_a_pull_request_is_told_again_by_the_gates_that_judged_it(tmp_path, base):
    """And not by those of a release, which ask for more."""
    head = opened(tmp_path / "head", wording="plainly")
    [told] = review_evals(head, base, Asking()).evals
    again = head.evals.report(told.run)
    assert [each.gate for each in again.gates] == ["not_worse", "answered"]
    assert again.gates == told.gates


def test_an_equal_wording_is_not_refused_and_refused_where_proof_is_asked_for(tmp_path, base):
    review = reviewed(tmp_path, base, wording="plainly")
    assert review.refused == ()
    [told] = review.evals
    assert (told.count("same"), told.gates[0].comparison) == (40, "not enough evidence")
    assert replace(review, strict=True).refused == ("numbers",)


def test_a_second_push_asks_only_for_what_changed_since_the_first(tmp_path, base):
    reviewed(tmp_path, base, wording="plainly")
    asked = Model.n_asked
    review = reviewed(tmp_path, base, wording="plainly")
    assert Model.n_asked == asked
    assert review.evals[0].spent_usd == 0.0


def test_another_model_behind_a_route_runs_the_suites_that_it_answers(tmp_path, base):
    review = reviewed(tmp_path, base, model="m2")
    assert [(each.suite, len(each.sides), each.gates) for each in review.evals] == [
        ("numbers", 1, ()),
        ("others", 1, ()),
    ]
    assert review.why["numbers"] == "the route main, which answers it, is another one"


def test_a_suite_with_another_scorer_is_run_on_the_version_as_it_is(tmp_path, base):
    review = reviewed(tmp_path, base, scorers=(Exact(), TokenF1()))
    assert review.why == {"numbers": "the suite is another one"}
    assert review.exit_code == 0


def test_primary_suites_of_one_change_share_the_error_that_may_be_made(tmp_path, base):
    """As `perdure eval compare` corrects them: any of them may promote."""
    alphas = {}
    for names in (("numbers",), ("numbers", "more")):
        head = opened(tmp_path / f"head{len(names)}", wording="badly")
        suite = replace(head.project.suites.pop("numbers"), role="primary")
        head.project.suites.update({name: replace(suite, name=name) for name in names})
        review = review_evals(head, base, Asking())
        [told] = [each for each in review.evals if each.suite == "numbers"]
        alphas[len(names)] = find_run(head.place, told.run).facts["verdict"]["alpha"]
    assert alphas == {1: 0.05, 2: 0.025}


def test_another_objective_alone_asks_nobody(tmp_path, base):
    from perdure.assets.eval_objectives import eval_score
    from perdure.core.units import days

    review = reviewed(tmp_path, base, healthy=(eval_score(suite="numbers", over=days(7)) >= 0.9,))
    assert review.evals == ()


def test_without_a_base_every_suite_is_run_alone(tmp_path):
    Model.n_asked = 0
    review = reviewed(tmp_path, None)
    assert [each.suite for each in review.evals] == ["numbers", "others"]
    assert review.why["numbers"] == "the prompt echo is new"


def test_a_version_that_fails_more_answers_is_refused(worse):
    broken = replace(worse, sides=(worse.sides[0], replace(worse.sides[1], n_failed=3)))
    assert [(each.gate, each.passed) for each in gates_of(broken)] == [("not_worse", False), ("answered", False)]

"""Suites and judges of a project: collected, described, checked, with file and line."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from perdure import (
    Case,
    Judge,
    Perdure,
    Project,
    Prompt,
    Route,
    Suite,
    Target,
    UnitPrices,
    Upstream,
    days,
    error_ratio,
    eval_score,
    hours,
    judge_agreement,
    online_score,
    scorers,
)
from perdure.core.errors import BadJudge, BadProject, BadSuite, NotFound
from perdure.core.settings import EvalSettings, ProjectSettings, Settings
from perdure.surface.checks import CheckNote, check_project
from perdure.surface.compose import SIGNALS, watched_assets
from perdure.surface.definitions import definitions
from perdure.surface.project import LoadedProject, load_project

SHOWN = "How long may I keep the shoes that I bought in your shop in Berlin?"
route = Route(
    "support",
    [Target(Upstream("local", "http://127.0.0.1:9/v1"), "small")],
    healthy=[error_ratio(over=hours(1)) <= 0.1],
)
answer = Prompt("answer", [("user", "{{ q }}")], "support", variables={"q": str})
kind = Judge("kind", "Is it kind?", "support", anchor=None, healthy=[judge_agreement(over=days(30)) >= 0.8])
CASES = [Case(f"c{n}", {"q": f"{n}?"}, "yes", cluster=f"c{n}") for n in range(40)]


def suite(*made: scorers.Scorer, cases: Sequence[Case] = CASES, **settings: Any) -> Suite:
    return Suite("polite", cases, made or (scorers.Exact(),), **{"prompt": "answer", **settings})


def told(*declared: Any, level: str = "") -> list[str]:
    found = check_project(Project.of("p", route, *declared), SIGNALS)
    return [f"{note.level}: {note.text} {note.hint}" for note in found
            if (note.level == level or not level) and note.text.startswith(("Suite", "Judge", "Prompt"))]  # fmt: skip


def test_a_suite_that_can_be_run_is_not_talked_about() -> None:
    assert told(answer, suite()) == []


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (suite(prompt="anser"), "tests the prompt 'anser', which is not declared. Did you mean 'answer'"),
        (suite(route="suport"), "asks the route 'suport', which is not declared. Did you mean 'support'"),
        (suite(scorers.Judged("kid")), "asks the judge 'kid', which is not declared. Did you mean 'kind'"),
        (suite(scorers.Similar("locl/small")), "embeds by 'locl/small', which is no route and no upstream"),
        (
            suite(cases=[Case("a", {"p": "x"}, "y")]),
            "has inputs at case 1 that cannot be asked: Prompt 'answer' has no variable 'p'",
        ),
        (suite(cases=[Case("a", {"q": 7}, "y")]), "that cannot be asked: The variable 'q' of prompt 'answer' is wrong"),
        (suite(prompt="", route="support"), "the suite tests no prompt, and these are no messages"),
        (
            suite(cases=[Case("a", {"q": "x"}, "1"), Case("b", {"q": "X "}, "2")]),
            "asks the same at case 2 as at case 1",
        ),
        (
            suite(cases=[Case("a", {"q": "x"})]),
            "has the scorer 'exact', which applies to no case: the case expects nothing",
        ),
        (
            suite(scorers.ContextRecall(), cases=[Case("a", {"q": "x"}, "y")]),
            "'context_recall', which applies to no case",
        ),
        (suite(scorers.FitsSchema()), "cannot score"),
        (Suite("polite", "gone.yaml", [scorers.Exact()], prompt="answer"), "cannot be read: gone.yaml cannot be read"),
    ],
)
def test_what_a_run_would_refuse_is_an_error(made: Suite, why: str) -> None:
    errors = told(answer, made, kind, level="error")

    assert any(each.startswith("error: Suite 'polite' ") and why in each for each in errors), errors


def test_a_case_that_the_prompt_shows_is_an_error_with_both_places() -> None:
    prompt = replace(answer, examples=[Case("late", {"q": SHOWN}, "30 days")])
    [error] = told(prompt, suite(cases=[*CASES, Case("x", {"q": f"{SHOWN}!"}, "30 days")]), level="error")

    assert "has a case at case 41 that stands in the examples of prompt 'answer' at the examples of prompt" in error
    assert "nearly" in error


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (suite(cases=CASES[:3]), "clusters that gates judge by"),
        (
            suite(cases=[*CASES, Case("x", {"q": SHOWN}, "y"), Case("z", {"q": f"{SHOWN}?"}, "y")]),
            "nearly the same as at",
        ),
        (suite(scorers.Grounded()), "has no contexts and asks once"),
    ],
)
def test_what_weakens_a_verdict_is_a_warning(made: Suite, why: str) -> None:
    [warning] = told(answer, made, level="warning")

    assert why in warning


def test_of_many_mistakes_a_few_are_told_one_by_one() -> None:
    errors = told(answer, suite(cases=[Case(f"{n}", {"p": f"{n}"}, "y") for n in range(40)]), level="error")

    assert len(errors) == 4
    assert "has 37 more cases that cannot be asked" in errors[-1] + errors[0]


def test_objectives_name_suites_and_scorers_that_test_the_asset() -> None:
    other = replace(suite(), name="rude", prompt="other")
    prompt = replace(answer, healthy=[eval_score(suite="polit", over=days(7)) >= 0.9, eval_score(suite="rude", over=days(7)) >= 0.9,
                                      online_score(scorer="token_f1", over=days(1)) >= 0.5, online_score(scorer="exact", over=days(1)) >= 0.5,
                                      eval_score(suite="polite", over=days(7)) >= 0.9])  # fmt: skip
    errors = [each for each in told(prompt, suite(), other, level="error") if "is held to" in each]

    assert len(errors) == 3
    assert any("'polit', which is not declared. Did you mean 'polite'" in each for each in errors)
    assert any("'rude', which tests something else" in each for each in errors)
    assert any("'token_f1', which none of its suites has" in each for each in errors)
    asked = replace(route, healthy=[eval_score(suite="polite", over=days(7)) >= 0.9])
    assert not [
        note for note in check_project(Project.of("p", asked, answer, suite()), SIGNALS) if "polite" in note.text
    ]


def test_a_prompt_that_no_suite_tests_is_told_where_there_are_suites() -> None:
    assert any(
        "is tested by no suite" in each for each in told(answer, replace(answer, name="free"), suite(), level="note")
    )
    assert not any("is tested by no suite" in each for each in told(answer))


def labelled(n: int) -> str:
    return "".join(json.dumps({"inputs": {"q": f"{i}"}, "answer": "a", "label": "good"}) + "\n" for i in range(n))


@pytest.mark.parametrize(
    ("text", "level", "why"),
    [
        (labelled(60), "error", ""),
        (labelled(60), "warning", ""),
        (labelled(5), "warning", "calibrated on 5 labelled cases"),
        ("{", "error", "cannot read its anchor: a.jsonl, line 1"),
        (None, "error", "cannot read its anchor"),
    ],
)
def test_a_judge_s_anchor_is_read(tmp_path: Path, text: str | None, level: str, why: str) -> None:
    if text is not None:
        (tmp_path / "a.jsonl").write_text(text)
    found = told(replace(kind, anchor=tmp_path / "a.jsonl"), level=level)

    assert [why in each for each in found] == ([True] if why else [])


def test_a_judge_without_anchor_route_or_objectives_is_told() -> None:
    found = told(replace(kind, route="suport", panel=("gone",), healthy=()))

    assert [each.partition(".")[0] for each in found] == [
        "error: Judge 'kind' is answered by the route 'gone', which is not declared",
        "error: Judge 'kind' is answered by the route 'suport', which is not declared",
        "warning: Judge 'kind' has no anchor: nobody knows how far it can be trusted, and its scores are not used",
        "warning: Judge 'kind' has no objectives: it can drift unseen",
    ]


@pytest.fixture
def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LoadedProject:
    """A project whose suites are files beside its package."""
    monkeypatch.setattr("sys.path", [str(tmp_path), *sys.path])
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    (tmp_path / "perdure.toml").write_text("")
    (tmp_path / "suites").mkdir()
    (tmp_path / "suites" / "polite.yaml").write_text(
        "prompt: answer\nscorers: [exact, {judged: kind}]\ncases:\n- {inputs: {q: 1}, expected: a}\n"
    )
    (tmp_path / "suites" / "anchor.jsonl").write_text("")
    (tmp_path / "declared_evals.py").write_text(
        "from perdure import Case, Judge, Prompt, Route, Suite, Target, Upstream, scorers, suites\n"
        'support = Route("support", [Target(Upstream("local", "http://127.0.0.1:9/v1"), "small")])\n'
        'answer = Prompt("answer", [("user", "{{ q }}")], "support", variables={"q": str})\n'
        'kind = Judge("kind", "Kind?", "support", anchor="suites/anchor.jsonl")\n'
        'found = suites("suites/")\n'
        'coded = Suite("coded", [Case("a", {"q": "x"}, "y")], [scorers.Exact()], prompt="answer")\n'
    )
    return load_project(tmp_path, Settings(project=ProjectSettings(name="p", package="declared_evals")))


def test_suites_and_judges_of_a_package_are_collected_with_their_places(loaded: LoadedProject) -> None:
    assert (list(loaded.suites), list(loaded.judges)) == (["polite", "coded"], ["kind"])
    assert loaded.places["suite", "polite"] == "suites/polite.yaml:1"
    assert loaded.places["suite", "coded"] == "declared_evals.py:6"
    assert loaded.judges["kind"].anchor == loaded.folder / "suites" / "anchor.jsonl"
    assert [each.name for each in loaded.suites_of("answer")] == ["coded", "polite"]
    [note] = [each for each in check_project(loaded, SIGNALS) if each.text.startswith("Suite 'polite' has inputs")]
    assert note == CheckNote(
        "error",
        "suites/polite.yaml:1",
        "Suite 'polite' has inputs at polite.yaml:4 that cannot be asked: The variable 'q' of prompt 'answer' is wrong: it is not of type \"string\".",
        "`perdure prompt show` tells what it may be.",
    )


def test_suites_are_registered_by_content_and_judges_have_versions(loaded: LoadedProject) -> None:
    told = definitions(loaded)

    assert (told["suite", "polite"]["n_cases"], told["judge", "kind"]["anchor"]) == (1, "anchor.jsonl")
    (loaded.folder / "suites" / "polite.yaml").write_text(
        "prompt: answer\nscorers: [exact, {judged: kind}]\ncases:\n- {inputs: {q: x}, expected: b}\n"
    )
    assert definitions(loaded)["suite", "polite"]["cases"] != told["suite", "polite"]["cases"]
    assert (loaded.kind_of("kind"), loaded.released("kind")) == ("judge", loaded.judges["kind"])


def test_a_judge_and_a_prompt_of_one_name_are_refused() -> None:
    with pytest.raises(BadProject, match="'kind' is the name of a prompt and of a judge"):
        Project.of("p", replace(answer, name="kind"), kind)


def test_names_that_are_not_there_are_told_with_the_nearest() -> None:
    project = Project.of("p", route, answer, kind, suite())

    with pytest.raises(NotFound, match="polite"):
        project.suite("polit")
    with pytest.raises(NotFound, match="kind"):
        project.judge("knd")
    assert project.suite("polite").name == project.judge("kind").name.replace("kind", "polite")


def test_a_prompt_rests_on_the_judges_of_its_suites() -> None:
    deep = scorers.Together([scorers.Judged("kind"), scorers.Exact()])
    watched = {each.name: each for each in watched_assets(Project.of("p", route, answer, kind, suite(deep)))}

    assert tuple(watched["answer"].rests_on) == ("kind",)
    assert watched["kind"].kind == "judge"


def test_a_judge_is_released_by_apply_and_not_without_its_route(tmp_path: Path) -> None:
    project = Perdure(tmp_path, project=Project.of("p", route, kind))
    [change] = [each for each in project.apply() if each.asset == "kind" and each.what == "released"]
    assert change.kind == "judge"

    lost = Perdure(tmp_path, project=Project.of("p", route, replace(kind, route="gone")))
    with pytest.raises(BadJudge, match="'gone', which is not declared"):
        lost.apply()


def test_versions_of_prompts_and_judges_say_what_they_were_written_from(tmp_path: Path) -> None:
    def applied(prompt: Prompt) -> Perdure:
        project = Perdure(tmp_path, project=Project.of("p", route, prompt))
        project.apply()
        return project

    first = applied(answer).show_prompt("answer").version
    changed = applied(replace(answer, params={"temperature": 0}))
    with changed._ledger.read() as session:
        versions = {each.id: each for each in session.registry.list_versions("answer")}
    assert versions[first].lineage == {}
    assert [each.lineage for name, each in versions.items() if name != first] == [{"parent": first}]
    assert {each.what for each in changed.apply()} == {"unchanged"}


def test_a_diff_tells_examples_and_variants(tmp_path: Path) -> None:
    Perdure(tmp_path, project=Project.of("p", route, answer)).apply()
    more = replace(
        answer,
        examples=[Case("late", {"q": "Where?"}, "Wait.")],
        variants={"local/small": {"messages": [("user", "Short: {{ q }}")], "params": {"seed": 1}}},
    )
    project = Perdure(tmp_path, project=Project.of("p", route, more))

    added = [line[1:] for line in project.diff_prompt("answer").lines if line.startswith("+")]
    assert added == [
        "", "# example late", 'q: "Where?"', "## assistant", "Wait.",
        "", "# for local/small", "params.seed: 1", "", "## user", "Short: {{ q }}",
    ]  # fmt: skip


def test_taking_examples_away_is_a_change_too(tmp_path: Path) -> None:
    shown = replace(answer, examples=[Case("late", {"q": "Where?"}, "Wait.")])
    Perdure(tmp_path, project=Project.of("p", route, shown)).apply()
    before = Perdure(tmp_path, project=Project.of("p", route, answer))

    assert "released" in {each.what for each in before.apply() if each.asset == "answer"}
    [row] = before.list_prompts()
    assert row.champion == row.declared


def test_a_variant_for_an_upstream_that_is_not_there_or_that_cannot_be_rendered_is_an_error() -> None:
    gone = replace(answer, variants={"elsewhere/small": [("user", "{{ q }}")], "local/small": [("user", "{{ p }}")]})
    errors = told(gone, level="error")

    assert any("has a variant for elsewhere/small, of whose upstream nothing is declared" in each for each in errors)
    assert any(
        "cannot be rendered for local/small: Message 1 (user) of prompt 'answer' uses 'p'" in each for each in errors
    )


def test_a_suite_that_cannot_be_read_is_not_registered(tmp_path: Path) -> None:
    lost = Suite("polite", tmp_path / "gone.yaml", [scorers.Exact()], prompt="answer")

    with pytest.raises(BadSuite, match="cannot be read"):
        Perdure(tmp_path, project=Project.of("p", route, answer, lost)).apply()


def online(label: str, *declared: Any, on: Route = route, settings: Settings | None = None) -> list[str]:
    """Errors of a prompt that is held to a scorer over production."""
    prompt = replace(answer, healthy=[online_score(scorer=label, over=days(1)) >= 0.5])
    found = check_project(Project.of("p", on, prompt, *declared), SIGNALS, settings)
    return [f"{note.text} {note.hint}" for note in found if note.level == "error" and note.text.startswith("Prompt")]


PRICED = replace(route, targets=[replace(route.targets[0], prices=UnitPrices(input=0, output=0))])


def test_production_is_held_to_a_judge_s_word_by_itself_and_never_to_one_that_is_mixed_with_others() -> None:
    """What labels cannot correct would be measured never."""
    made = suite(
        scorers.Exact(),
        scorers.Judged("kind", label="kindly", weight=0.0),
        scorers.Together([scorers.Exact(), scorers.Judged("kind")], label="both"),
    )

    assert online("kindly", made, kind, on=PRICED) == online("exact", made, kind) == []
    [error] = online("both", made, kind, on=PRICED)
    assert "puts a judge's word together with others" in error
    [error] = online("kindl", made, kind, on=PRICED)
    assert "which none of its suites has. Did you mean 'kindly'?" in error


@pytest.mark.parametrize(
    ("judge", "on", "evals", "why"),
    [
        (replace(kind, form="reference"), PRICED, EvalSettings(), "'kind' is shown what was expected: production has neither"),
        (kind, PRICED, EvalSettings(online_usd=0.0), "judges may cost nothing in production. Write online_usd"),
        (kind, route, EvalSettings(), "cannot be asked within a day's money. The price of local/small"),
        (kind, replace(PRICED, bodies="none"), EvalSettings(), "its route 'support' keeps no texts: nothing can be scored"),
    ],
)  # fmt: skip
def test_a_judge_that_could_never_be_asked_about_production_is_an_error(
    judge: Judge, on: Route, evals: EvalSettings, why: str
) -> None:
    made = suite(scorers.Exact(), scorers.Judged("kind", label="kindly"))
    [error] = online("kindly", made, judge, on=on, settings=Settings(ProjectSettings("p"), evals=evals))

    assert why in error

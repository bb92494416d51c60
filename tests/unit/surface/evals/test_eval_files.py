"""Evals as files: JUnit that other programs read, Markdown in which nothing that a model wrote means anything."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from junitparser import JUnitXml

from perdure.assets.health import Verdict
from perdure.core.clock import parse_at
from perdure.core.stats.intervals import Interval
from perdure.core.verdict import Comparison
from perdure.surface.cli import printing
from perdure.surface.cli.show import changes
from perdure.surface.cli.show_evals import eval_json, show_comparison, show_summary
from perdure.surface.eval_junit import junit_xml
from perdure.surface.eval_markdown import evals_markdown
from perdure.surface.eval_told import AnswerTold, CaseTold, EvalTold, ScorerTold, ScoreTold, SideTold
from perdure.surface.records import Change
from perdure.surface.report.versus import versus_page

HOSTILE = "</testsuite>]]>\x00\x1b[31m\u202e\ud800 @everyone `code` | <script>alert(1)</script>"


def parsed(told: EvalTold, **options: bool) -> JUnitXml:
    return JUnitXml.fromstring(junit_xml([told], **options))


def outcome(case):
    return [type(each).__name__ for each in case.result]


def test_a_gate_is_a_test_case_and_not_enough_evidence_is_skipped_unless_the_build_is_strict(worse):
    [suite] = parsed(worse)
    assert [(each.name, outcome(each)) for each in suite] == [
        ("quality", ["Failure"]),
        ("cost", ["Skipped"]),
        ("answers", []),
    ]
    assert (suite.name, suite.tests, suite.failures, suite.errors, suite.skipped) == ("refunds", 3, 1, 0, 1)
    assert (suite.timestamp, suite.time) == ("2026-05-01T10:00:00", 1.25)
    assert [outcome(each) for each in next(iter(parsed(worse, strict=True)))] == [["Failure"], ["Failure"], []]


def test_the_failure_names_the_cases_that_got_worse_and_no_case_is_a_test(worse):
    [suite] = parsed(worse)
    failure = next(iter(suite)).result[0]
    assert failure.message == "worse by 20 points, 95% 10 to 30"
    assert "case-10: -100.0 points; What is 10? (expected 'seven')" in failure.text
    assert "case-1:" not in failure.text


def test_control_characters_and_closing_tags_of_answers_are_text(worse, rows):
    case = replace(worse.cases[10], id=HOSTILE, question=HOSTILE)
    broken = replace(worse, cases=(case,), text=HOSTILE, partial=HOSTILE)
    [suite] = parsed(broken)
    assert len(list(suite)) == 3
    told = next(iter(suite)).system_out
    assert "␀␛[31m[U+202E][U+D800]" in told
    assert "</testsuite>" in told


@given(st.text())
@example("\x00\ufffe\ud800]]>")
def test_whatever_a_model_writes_the_xml_parses_and_the_markdown_is_utf_8(text):
    answer = AnswerTold(text, 0, 0.0, (ScoreTold(text, 0.0, "failed", text),), error=text)
    case = CaseTold(text, text, text, (text,), (text,), text, ((answer,), (answer,)), "worse", -1.0, text)
    sides = tuple(SideTold(subject, None, None, 1, 1, None, 1, None, None) for subject in (f"a{text}", f"b{text}"))
    gate = Verdict(text, Comparison.WORSE, False, text)
    scorer = ScorerTold(text, (None, None), text=text)
    broken = EvalTold(
        text,
        text,
        text,
        parse_at("2026-05-01T10:00:00Z"),
        sides,
        (scorer,),
        (case,),
        (gate,),
        Comparison.WORSE,
        None,
        text,
    )
    assert len(list(next(iter(parsed(broken))))) == 1
    evals_markdown([broken]).encode()
    versus_page(broken).encode()


def test_a_suite_without_gates_has_one_test_that_passes_and_a_partial_one_is_skipped(worse):
    alone = replace(worse, gates=(), comparison=None)
    assert [(each.name, outcome(each)) for each in next(iter(parsed(alone)))] == [("measured", [])]
    partial = replace(alone, partial="the budget is spent after 37 of 60 cases")
    assert [outcome(each) for each in next(iter(parsed(partial)))] == [["Skipped"]]
    assert [outcome(each) for each in next(iter(parsed(partial, strict=True)))] == [["Failure"]]


def test_markdown_begins_with_the_verdict_and_holds_its_figures(worse):
    page = evals_markdown([worse])
    assert page.startswith("## perdure evals: worse\n")
    assert "| `refunds` | **worse** | 80.0%" in page
    assert "-16.7 points (-27.0 to -6.0)" in page
    assert "| 2 / 12 / 46 | $0.06 → $0.06 |" in page
    assert "| `quality` | **not passed** | worse by 20 points, 95% 10 to 30 |" in page
    assert "<summary>Cases that are worse: 12</summary>" in page
    assert page == evals_markdown([worse])


def test_in_markdown_what_a_model_wrote_stands_in_code_and_opens_no_element(worse):
    case = replace(worse.cases[10], id=HOSTILE, question=HOSTILE)
    page = evals_markdown([replace(worse, cases=(case,), text=HOSTILE)])
    assert "\x00" not in page
    assert "\u202e" not in page
    outside = [line for line in page.splitlines() if "@everyone" in line and not line.startswith("- ``")]
    assert [line.count("\\<script\\>") for line in outside] == [1]
    page.encode()


@pytest.mark.parametrize(
    ("changes", "title"),
    [({"comparison": None, "gates": ()}, "measured"), ({"comparison": "equivalent"}, "1 suite not passed")],
)
def test_the_title_says_what_came_of_it(worse, changes, title):
    assert evals_markdown([replace(worse, **changes)]).startswith(f"## perdure evals: {title}\n")
    assert evals_markdown([]) == "## perdure evals: nothing to run\n"


def shown(monkeypatch, show, told, width: str = "") -> str:
    out = io.StringIO()
    monkeypatch.setenv("COLUMNS", width)
    monkeypatch.setattr(printing.console, "_file", out)  # its `file` is whatever stands for the output at the time
    show(told)
    return out.getvalue()


def test_a_comparison_in_a_terminal_has_gates_sides_scorers_and_what_got_worse(worse, monkeypatch):
    told = shown(monkeypatch, show_comparison, replace(worse, partial="stopped"))
    assert told.splitlines()[0].startswith("refunds  worse: ")
    for words in (
        "not passed quality",
        "answer@2222",
        "80.0% (",
        "2 better, 12 worse, 46 same",
        "exact",
        "case-10: -100.0",
    ):
        assert words in told
    assert "and 2 more cases: perdure eval report" in told
    assert "partial" in told


def test_a_summary_of_one_version_names_what_scored_lowest(worse, monkeypatch):
    alone = replace(worse, sides=worse.sides[:1], gates=(), comparison=None, difference=None, text="")
    cases = tuple(replace(each, answers=each.answers[:1], change=None) for each in alone.cases)
    told = shown(monkeypatch, show_summary, replace(alone, cases=cases, scorers=()))
    assert told.splitlines()[0] == "refunds  measured"
    assert "case-1: score 0.00; What is 1? (expected 'seven')" in told
    assert "difference" not in told


def test_no_answer_steers_the_terminal(worse, monkeypatch):
    case = replace(worse.cases[10], id="[bold]\x1b[2J", question=HOSTILE)
    told = shown(monkeypatch, show_comparison, replace(worse, cases=(case,)))
    assert "\x1b" not in told
    assert "[bold]␛[2J" in told


def test_json_has_each_case_with_its_scores_and_no_text(worse):
    found = eval_json(worse)
    assert found["flips"] == {"better": 2, "worse": 12, "same": 46, "unpaired": 0}
    cases = found["cases"]
    assert isinstance(cases, list)
    assert cases[10] == {
        "id": "case-10", "flip": "worse", "change": -1.0, "scores": [1.0, 0.0], "failed": False, "disagreement": "", "tags": ("even",),
    }  # fmt: skip


def test_a_page_tells_what_was_known_and_which_claims_nothing_supports(worse):
    side = replace(worse.sides[0], n_cached=30, hallucination=Interval(0.05, 0.01, 0.1, 60))
    page = versus_page(replace(worse, sides=(side, worse.sides[1])))
    assert "<td>50%</td>" in page
    assert "<td>5.0% (1.0 to 10.0)</td>" in page
    assert "unsupported (95%)" not in versus_page(worse)


def test_a_terminal_tells_what_was_known_and_which_claims_nothing_supports(worse, monkeypatch):
    side = replace(worse.sides[0], n_cached=30, hallucination=Interval(0.05, 0.01, 0.1, 60))
    told = shown(monkeypatch, show_comparison, replace(worse, sides=(side, worse.sides[1])))
    assert "5.0% (1.0 to 10.0)" in told
    assert "50%" in told


def test_why_a_change_is_blocked_is_told_at_any_width(monkeypatch):
    why = "prompt_quality: refunds@307b94f9efa8: worse: -34.1 points (97% -45.3 to -22.9) on 88 cases in 88 clusters."
    blocked = Change("prompt", "support_answer", "blocked", "support_answer@1", "support_answer@2", why)
    told = shown(monkeypatch, lambda found: changes(found, dry_run=False, as_json=False), [blocked], "70")
    assert "not shown" not in told
    assert " ".join(told.split()).count("-34.1 points (97% -45.3 to -22.9)") == 1
    assert "--unproven REASON" in told

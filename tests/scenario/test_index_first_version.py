"""The first version of an index: where golden questions are there it is filled, counted and asked before anything answers."""

from __future__ import annotations

import json

import pytest

from perdure import Perdure, Project, Whole
from perdure.assets.index_objectives import golden_ndcg, golden_recall
from perdure.assets.policy import Policy, Ramp
from perdure.assets.version import CHAMPION
from perdure.core.clock import machine_now
from perdure.core.settings import ProjectSettings, Settings
from perdure.core.units import days, hours
from perdure.testing.indexes import DocumentsWorld

N = 20
HELD = [golden_recall(k=5, over=hours(2)) >= 0.8, golden_ndcg(k=5, over=hours(2)) >= 0.5]


@pytest.fixture
def documents(tmp_path):
    """Twenty of them."""
    made = DocumentsWorld(tmp_path, N)
    made.write_all(machine_now() - days(30))
    return made


@pytest.fixture
def declared(tmp_path, documents):
    """Opens a project of an index over them; nothing was applied."""

    def make(**members):
        index = documents.index(**members)
        settings = Settings(project=ProjectSettings(name="indexed", actor="ana"))
        return Perdure(tmp_path, settings, project=Project.of("indexed", index))

    return make


def champions(perdure):
    with perdure.place.stores.ledger.read() as session:
        return [each.version for each in session.pointers.list("handbook") if each.name == CHAMPION]


def applied(perdure, **members):
    return [each for each in perdure.apply(**members) if each.asset == "handbook"][-1]


def lost(folder):
    """Golden questions of which nothing that they name is there."""
    rows = [{"query": f"question {i}", "relevant": [f"nowhere/{i}.md"], "cluster": i} for i in range(N)]
    (folder / "golden.jsonl").write_text("\n".join(map(json.dumps, rows)))


def test_it_answers_once_it_was_counted_and_finds_what_it_should(declared):
    """At once, for nothing answers that it could be tried beside; and apply says what it found."""
    perdure = declared(healthy=HELD)
    told = applied(perdure)
    assert told.what == "released"
    assert "index_whole: A census of 20 documents" in told.why
    assert "finds nothing wrong" in told.why
    assert "holds golden_recall" in told.why
    assert "holds golden_ndcg" in told.why
    assert champions(perdure) == [told.after]
    assert perdure.search_index("handbook", "document 3")
    assert applied(perdure).what == "unchanged"


@pytest.mark.parametrize("missed", HELD)
def test_what_misses_an_objective_answers_nothing_until_a_person_says_why(declared, tmp_path, missed):
    perdure = declared(healthy=[missed])
    lost(tmp_path)
    told = applied(perdure)
    assert (told.what, champions(perdure)) == ("blocked", [])
    assert f"0.000 (0.000 to 0.168) misses {missed.text()}" in told.why
    assert applied(perdure).what == "blocked"
    assert applied(perdure, unproven="the questions are of next month's handbook").what == "unproven"
    assert champions(perdure) == [told.after]


def test_better_questions_release_what_was_refused(declared, tmp_path):
    perdure, good = declared(healthy=HELD), (tmp_path / "golden.jsonl").read_text()
    lost(tmp_path)
    assert applied(perdure).what == "blocked"
    (tmp_path / "golden.jsonl").write_text(good)
    assert applied(perdure).what == "released"


def test_without_a_bound_what_it_finds_is_told_and_it_is_released(declared, tmp_path):
    perdure = declared(healthy=[])
    lost(tmp_path)
    told = applied(perdure)
    assert told.what == "released"
    assert "recall@10 0.000, nDCG@10 0.000, and no objective is declared of them" in told.why


def test_a_source_that_does_not_answer_fills_nothing_and_releases_nothing(declared, documents):
    """It is filled and asked when the source is back."""
    perdure = declared(healthy=HELD)
    with documents.taken_away():
        assert applied(perdure).what != "released"
    assert champions(perdure) == []


def test_without_golden_questions_it_goes_on_and_says_that_its_census_alone_judges_it(declared):
    perdure = declared(golden=None, healthy=[])
    told = applied(perdure)
    assert told.what == "released"
    assert "without golden questions its census alone judges it" in told.why
    assert champions(perdure) == [told.after]


def test_apply_tells_beforehand_that_it_is_proven_first(declared):
    perdure = declared(healthy=HELD)
    assert applied(perdure, dry_run=True).what == "proving"
    assert champions(perdure) == []


def test_where_a_person_must_say_yes_nothing_answers_before(declared):
    """It is filled and asked, and waits; with the yes the loop points to it."""
    perdure = declared(healthy=HELD, policy=Policy.act(approve_by="reviewer"))
    told = applied(perdure)
    assert (told.what, champions(perdure)) == ("proving", [])
    assert "holds golden_recall" in told.why
    [question] = perdure.approvals()
    perdure.approve(question.id, reason="it finds what it should")
    perdure.tick(at=machine_now())
    assert champions(perdure) == [told.after]


def test_another_declaration_after_it_is_held_against_it(declared):
    """The first version is what a second one is compared with, question by question."""
    first = applied(declared(healthy=HELD)).after
    second = declared(healthy=HELD, chunker=Whole(), policy=Policy.act(ramp=Ramp(hours(0), hours(0)), watch=hours(0)))
    told = applied(second)
    assert told.after != first
    assert "Nothing answers yet" not in told.why

"""Pages of what speaks: each is drawn and has its twin, hostile texts stay texts, and only who may read texts sees them."""

from __future__ import annotations

import re

import console_world
import pytest

from perdure import Project
from perdure.assets.documents import SqlRows
from perdure.assets.index import Index
from perdure.surface.cli.app import app as cli_app
from perdure.surface.console.assets.lineage import drawing_of
from perdure.surface.console.language import DEEDS, PAGES
from perdure.surface.console.language.seen import ACTION

NAMES = {
    "prompts": "support.answer", "suites": "numbers", "judges": "helpful", "indexes": "handbook", "searches": "s_1", "calls": "c_2",
    "runs": "run_000007", "agents": "support", "graphs": "post", "guards": "privacy",
}  # fmt: skip


def address(page, run) -> str:
    """The page of something that is there."""
    kind = page.path.split("/")[2] if page.path.count("/") > 1 else ""
    name = run if kind == "evals" else NAMES.get(kind, "")
    return re.sub(r"\{\w+\}", name, page.path)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_is_drawn_and_its_twin_is_what_it_draws(desk, run, page):
    path = address(page, run)
    answer, twin = desk.get(path, as_="scientist"), desk.get(f"/api{path}", as_="scientist")
    assert (answer.status, twin.status) == (200, 200)
    assert f"<h1>{twin.json['title']}" in answer.text
    assert "<script>" not in answer.text
    assert " style=" not in answer.text
    assert len(answer.body) < 150_000


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_hostile_texts_of_prompts_answers_and_documents_are_only_texts(desk, run, page):
    text = desk.get(address(page, run), as_="scientist").text
    assert "<img src=x" not in text
    assert "\u202e" not in text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_who_may_not_read_texts_sees_figures_alone(desk, run, page):
    answer = desk.get(address(page, run), as_="viewer")
    assert answer.status == (403 if page.permit == "bodies" else 200)
    for secret in ("My secret is 42", "onerror", "spaceships", "Hello!"):
        assert secret not in answer.text


@pytest.mark.parametrize("page", [each for each in PAGES if "{" in each.path], ids=lambda page: page.name)
def test_what_is_not_there_is_told_as_a_page(desk, page):
    answer = desk.get(re.sub(r"\{\w+\}", "nothing_of_it", page.path), as_="scientist")
    assert answer.status == 404
    assert "<h1>" in answer.text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_command_that_tells_the_same_is_one(desk, run, page):
    import typer.main

    told = desk.get(f"/api{address(page, run)}", as_="scientist").json["cli"].split()
    found = typer.main.get_command(cli_app)
    assert told[0] == "perdure"
    for word in told[1:]:
        if not hasattr(found, "commands"):
            break
        assert word in found.commands, told
        found = found.commands[word]
    options = {name for each in found.params for name in each.opts}
    assert {word for word in told if word.startswith("--")} <= options


def test_looking_writes_nothing_but_who_read_the_texts_of_calls_searches_and_runs(own_desk, run):
    ledger = own_desk.project.place.stores.ledger
    before = ledger.sequence()
    for page in PAGES:
        if page.name not in ("call-texts", "agent-run-texts", "search"):
            own_desk.get(address(page, run), as_="scientist")
    assert ledger.sequence() == before


def test_who_read_the_texts_of_a_call_stands_in_the_ledger_once(own_desk):
    for _ in range(2):
        assert "My secret is 42 &lt;b&gt;" in own_desk.get("/language/calls/c_4/texts", as_="scientist").text
    own_desk.get("/language/calls/c_4/texts", as_="engineer")
    own_desk.get("/language/calls/c_1", as_="engineer")
    with own_desk.project.place.stores.ledger.read() as session:
        seen = [each for each in session.audit.list(after=0) if each.action == ACTION and each.subject == "c_4"]
    assert [(each.actor, each.subject) for each in seen] == [("sue", "c_4"), ("eve", "c_4")]


def test_texts_are_refused_where_it_cannot_be_written_who_reads_them(own_desk, monkeypatch):
    from perdure.core.errors import StoreFull

    def full(*_, **__):
        raise StoreFull("There is no room.", hint="Make some.")

    monkeypatch.setattr("perdure.loop.protocols.Workplace.transaction", full)
    answer = own_desk.get("/language/calls/c_1/texts", as_="scientist")
    assert answer.status >= 500
    assert "My secret" not in answer.text


def test_a_label_is_one_click_and_the_next_case_comes(own_desk):
    first = own_desk.get("/api/language/reviews", as_="scientist").json["data"]
    assert first["n_open"] == 3
    said = own_desk.post(first["deed"], {"label": "good", "note": "It does."}, as_="scientist")
    assert (said.status, said.headers["location"]) == (303, "/language/reviews")
    second = own_desk.get("/api/language/reviews", as_="scientist").json["data"]
    assert second["case"]["id"] != first["case"]["id"]
    with own_desk.project.place.stores.ledger.read() as session:
        [label] = session.reviews.get(first["case"]["id"]).labels
    assert (label.labeller, label.word, label.note) == ("sue", "good", "It does.")


def test_another_case_is_given_to_who_would_rather_not_say(desk):
    first = desk.get("/api/language/reviews", as_="scientist").json["data"]
    other = desk.get(f"/api{first['skip']}", as_="scientist").json["data"]
    assert other["case"]["id"] != first["case"]["id"]


def test_a_word_that_is_not_on_the_scale_is_refused(own_desk):
    deed = own_desk.get("/api/language/reviews", as_="scientist").json["data"]["deed"]
    assert own_desk.post(deed, {"label": "splendid"}, as_="scientist").status == 422


def test_an_administrator_reads_cases_and_is_told_who_labels(desk):
    answer = desk.get("/language/reviews", as_="admin")
    assert "Labels are given by scientists, engineers and reviewers." in answer.text
    assert 'name="label"' not in answer.text
    [deed] = DEEDS
    assert deed.permit == "label"


def test_versions_of_a_prompt_are_compared_line_by_line(own_desk):
    opened = own_desk.project
    package = opened.folder / "desk_declared.py"
    package.write_text(package.read_text("utf-8").replace("Be exact.", "Be kind."), "utf-8")
    again = console_world.open_console(opened.folder)
    data = again.get("/api/language/prompts/support.answer/compare").json["data"]
    assert (data["n_added"], data["n_removed"]) == (1, 1)
    assert {"-Be exact.", "+Be kind."} <= set(data["lines"])
    assert '<span class="added">+Be kind.' in again.get("/language/prompts/support.answer/compare").text


def test_lineage_of_an_index_begins_with_its_documents(desk):
    found = desk.get("/api/assets/index/handbook/lineage", as_="viewer").json["data"]["lineage"]
    assert ["documents:Folder docs", "index:handbook"] in found["lines"]
    assert [(node["kind"], node["text"], node["href"]) for node in found["nodes"] if node["kind"] == "documents"] == [
        ("documents", "Folder docs", "")
    ]


def test_lineage_tells_no_address_of_a_database():
    rows = SqlRows("select * from articles", "id", "body", url="postgresql://ann:secret@host/articles")
    project = Project.of("desk", Index("articles", rows))
    drawn, _ = drawing_of(project, ("index", "articles"))
    assert {node.text for node in drawn.nodes} == {"articles", "SqlRows"}

"""Every page has a command that tells the same: `perdure look` where no verb does, and a verb at the page's own instant."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from page_walk import read

from perdure.core.clock import iso, machine_now
from perdure.core.errors import NotFound
from perdure.surface.cli.show_page import page as show_page
from perdure.surface.compose_console import look_at
from perdure.surface.console.commanding import commanded
from perdure.surface.console.records import View
from perdure.surface.console.twins import plain_of

THEN = datetime(2014, 1, 2, 5, tzinfo=UTC)
TOLD = (
    "/assets/model/eta/lineage",
    "/assets/model/eta/versions",
    "/assets?kind=model",
    "/registry",
    "/ledger/feeds",
    "/inbox?duty=owner",
    "/people",
    "/me",
)


@pytest.mark.parametrize("address", TOLD)
def test_a_page_is_told_without_a_browser_as_its_twin_tells_it(console, address):
    view, at = look_at(console.project, address)
    twin = console.get(f"/api{address}", as_="viewer,scientist,engineer,reviewer,admin").json
    assert (view.title, iso(at), view.cli) == (twin["title"], twin["as_of"], twin["cli"])
    assert plain_of(view.data).keys() == twin["data"].keys()


def test_a_page_says_in_text_what_its_tables_say(console, capsys):
    show_page(*look_at(console.project, "/assets/model/eta/lineage"), as_json=False)
    told = capsys.readouterr().out
    assert told.startswith("eta: lineage  ")
    assert "What eta rests on, and what rests on it" in told
    assert [line.split() for line in told.splitlines() if line.startswith("orders ")]
    assert "/assets/" not in told


def test_what_is_counted_from_the_lake_is_told_too(console):
    view, _ = look_at(console.project, "/")
    console.boards.refresh()
    told = console.get("/api", as_="viewer").json["data"]["traffic"]
    assert plain_of(view.data)["traffic"]["n_day"] == told["n_day"]


def test_a_page_as_json_is_its_twin(console, capsys):
    view, at = look_at(console.project, "/registry")
    show_page(view, at, as_json=True)
    assert json.loads(capsys.readouterr().out) == {
        "title": view.title,
        "data": plain_of(view.data),
        "cli": view.cli,
        "as_of": iso(at),
    }


def test_an_address_may_be_copied_whole_from_the_browser_or_from_the_twin(console):
    plain, _ = look_at(console.project, "/assets?kind=model")
    for copied in ("http://127.0.0.1:8500/assets?kind=model", "/api/assets?kind=model"):
        assert plain_of(look_at(console.project, copied)[0].data) == plain_of(plain.data)


@pytest.mark.parametrize("address", ["/nowhere", "", "sign-in", "/assets/model/nobody"])
def test_what_is_no_page_is_said_to_be_none(console, address):
    if address == "":
        assert look_at(console.project, address)[0].title == look_at(console.project, "/")[0].title
        return
    with pytest.raises(NotFound):
        look_at(console.project, address)


def test_a_page_without_a_verb_of_its_own_names_itself_as_a_shell_takes_it(console):
    answer = console.get("/assets/model/eta/lineage", as_="viewer")
    assert "perdure look /assets/model/eta/lineage" in answer.text
    assert commanded(View("x", None), THEN, "/assets?kind=model&q=a b").cli == "perdure look '/assets?kind=model&q=a b'"
    assert read(answer.text).tags["h1"] == 1


def test_a_verb_judges_at_the_instant_of_the_page_where_that_is_over():
    assert commanded(View("x", None, cli="perdure status"), THEN, "/").cli == "perdure status --at 2014-01-02T05:00:00Z"
    assert commanded(View("x", None, cli="perdure status"), machine_now(), "/").cli == "perdure status"


@pytest.mark.parametrize("command", ["perdure explain inc_1", "perdure card eta --edit FILE", "perdure runs eta"])
def test_a_verb_that_asks_for_no_instant_is_left_as_it_is(command):
    assert commanded(View("x", None, cli=command), THEN, "/").cli == command

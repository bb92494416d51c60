"""Every page of the console over worlds with one of everything: it is drawn, safe, light, and told the same as JSON and in a terminal."""

from __future__ import annotations

import shlex
import shutil
from gzip import compress
from pathlib import Path
from urllib.parse import quote_plus, urlencode

import console_world
import language_world
import page_walk
import pytest
from page_walk import EVERYBODY, Seen
from typer.main import get_command

from perdure.surface.cli.app import app as cli
from perdure.surface.console import areas
from perdure.surface.console.commanding import commanded
from perdure.surface.console.headers import POLICY
from perdure.surface.console.twins import api_path, plain_of
from perdure.surface.sdk import open_project

_MOST_BYTES = 300_000
_ELSEWHERE = {"prediction"}
"""Pages that neither world leads to, for nothing is served there: tests of their own areas do."""

_MEASURED = ("as_of", "took")
"""How far captured calls reach, by the machine's clock; how long a search took: another at every look."""


@pytest.fixture(scope="module")
def worlds(people_folder, tmp_path_factory):
    """Two consoles: of a model that decays, and of everything that speaks; with what a walk through them found."""
    made = tmp_path_factory.mktemp("walk")
    folder = Path(shutil.copytree(people_folder, made / "shop"))
    for text in ("Minutes, by shop.", "Minutes, by shop and hour."):
        open_project(folder, actor="eve").edit_card("eta", text, reason="what it is for", at=console_world.at(482))
    decaying = console_world.open_console(folder)
    speaking = console_world.open_console(language_world.make_language_world(made / "desk"))
    begins = ["/training/compare?runs=run_1,run_2"]
    return [(decaying, *page_walk.walk(decaying, *begins)), (speaking, *page_walk.walk(speaking))]


@pytest.fixture(scope="module")
def seen(worlds) -> list[Seen]:
    """Every address that was found."""
    return [each for _, found, _ in worlds for each in found.values()]


def test_every_link_leads_to_a_page(seen, worlds):
    assert [address for _, _, nowhere in worlds for address in nowhere] == []
    assert [
        (each.address, each.answer.status, each.answer.text[-900:]) for each in seen if each.answer.status != 200
    ] == []


def test_every_page_was_reached_by_links(seen):
    assert {page.name for page in areas.pages()} - {each.page.name for each in seen} == _ELSEWHERE


def test_no_page_holds_anything_that_the_policy_of_contents_stops_or_that_comes_from_elsewhere(seen):
    assert {each.answer.headers["content-security-policy"] for each in seen} == {POLICY}
    assert {each.address: each.read.wrong for each in seen if each.read.wrong} == {}


def test_every_page_has_one_title_and_no_id_twice(seen):
    wrong = [
        (each.address, each.read.tags["h1"], [name for name, n in each.read.ids.items() if n > 1])
        for each in seen
        if each.read.tags["h1"] != 1 or max(each.read.ids.values(), default=0) > 1 or "" in each.read.ids
    ]
    assert wrong == []


def test_every_page_is_light_with_all_that_it_loads(console, seen):
    weights: dict[str, int] = {}
    for each in seen:
        for static in set(each.read.statics):
            if static not in weights:
                weights[static] = len(console.get(static, accept_encoding="gzip").body)
        whole = len(compress(each.answer.body)) + sum(weights[static] for static in set(each.read.statics))
        assert whole <= _MOST_BYTES, (each.address, whole)


def test_every_twin_is_what_the_page_draws(worlds):
    for console, found, _ in worlds:
        for each in found.values():
            twin = console.get(api_path(each.address), as_=EVERYBODY)
            assert twin.status == 200, (each.address, twin.text)
            asked = page_walk.asked_of(console, each)
            view = commanded(each.page.view(asked), asked.now, each.address)
            drawn, told = plain_of(view.data), twin.json["data"]
            for measured in _MEASURED:
                drawn.pop(measured, None)
                told.pop(measured, None)
            assert told == drawn, each.address
            assert (twin.json["title"], twin.json["cli"]) == (view.title, view.cli), each.address


def test_every_page_names_a_command_that_there_is(worlds):
    commands = {
        (each.page.name, console.get(api_path(each.address), as_=EVERYBODY).json["cli"])
        for console, found, _ in worlds
        for each in found.values()
        if each.answer.status == 200
    }
    assert {name for name, command in commands if not command} == set()
    wrong = [(name, command, why) for name, command in sorted(commands) if (why := _mistake(command))]
    assert wrong == []


def _mistake(command: str) -> str:
    """What is wrong with a command; empty where it is understood."""
    first, *words = shlex.split(command)
    if first != "perdure":
        return "is not ours"
    at = get_command(cli)
    while words and hasattr(at, "commands"):
        if words[0] not in at.commands:
            return f"there is no {words[0]}"
        at = at.commands[words.pop(0)]
    if hasattr(at, "commands"):
        return "names a group alone"
    options = {name for param in at.params for name in (*param.opts, *param.secondary_opts) if name.startswith("-")}
    unknown = [word for word in words if word.startswith("-") and word.partition("=")[0] not in options]
    n_arguments = sum(param.param_type_name == "argument" and param.required for param in at.params)
    plain = [word for word in words if not word.startswith("-")]
    return f"{unknown} unknown" if unknown else "an argument is missing" if len(plain) < n_arguments else ""


def test_nothing_is_written_by_looking(worlds):
    for console, found, _ in worlds:
        before = console.project.place.stores.ledger.sequence()
        for each in found.values():
            if each.page.permit != "bodies":
                console.get(each.address, as_=EVERYBODY)
        assert console.project.place.stores.ledger.sequence() == before


EDGES = ("0001-01-01", "0001-01-01T00:00:00-23:59", "9999-12-31T23:59:59Z")


def test_no_page_fails_at_the_first_or_last_instant_that_can_be_written(worlds):
    """A window before the first one would begin nowhere."""
    failed = []
    for console, found, _ in worlds:
        for each in {each.page.name: each for each in found.values()}.values():
            for edge in EDGES:
                asked = urlencode(dict.fromkeys(("from", "to", "at", "against", "before", "as_of", "until"), edge))
                answer = console.get(f"{api_path(each.address.partition('?')[0])}?{asked}", as_=EVERYBODY)
                failed += [(each.address, edge)] if answer.status >= 500 else []
    assert failed == []


HOSTILE = "x;touch$(id)|sh"
ASKED = ("asset", "subject", "version", "q")


@pytest.mark.parametrize("name", ASKED)
def test_no_link_puts_a_command_of_its_own_into_the_one_that_a_page_offers_to_copy(worlds, name):
    """What a link asks for stands in the command as one word, whatever a shell would make of it."""
    told = []
    for console, found, _ in worlds:
        for each in {each.page.name: each for each in found.values()}.values():
            answer = console.get(
                f"{api_path(each.address.partition('?')[0])}?{urlencode({name: HOSTILE})}", as_=EVERYBODY
            )
            told += [answer.json["cli"]] if answer.status == 200 else []
    harmless = (shlex.quote(HOSTILE), quote_plus(HOSTILE))
    assert [each for each in told if "touch" in each and not any(word in each for word in harmless)] == []
    assert told

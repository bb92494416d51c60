"""Drift and single predictions of a model that really was trained and asked; and the kept text of its code."""

from __future__ import annotations

import importlib.util
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from perdure.core.ids import Digest
from perdure.engines.training.code import code_hash, code_text, read_code
from perdure.loop.work.versions import profile_of
from perdure.surface.console import assets
from perdure.surface.console.boards import ProjectBoards
from perdure.surface.console.records import Asked, Person
from perdure.surface.console.rendering import Frame, Renderer

_spec = importlib.util.spec_from_file_location("served_world", Path(__file__).parents[3] / "scenario" / "served.py")
assert _spec is not None
assert _spec.loader is not None
served = importlib.util.module_from_spec(_spec)
sys.modules["served_world"] = served
_spec.loader.exec_module(served)


@pytest.fixture(scope="module")
def lived(tmp_path_factory):
    """A model whose rain is told in another unit than it was trained on, as of day 25."""
    world = served.inches_for_millimetres(served.made(1, per_day=60))
    return served.lived(tmp_path_factory.mktemp("served"), world)


@pytest.fixture(scope="module")
def ask(lived):
    """Asks a view as an engineer, draws its page, and gives its record."""
    boards = ProjectBoards(lived)
    board = boards.refresh()
    person = Person("eve", frozenset({"engineer"}))
    renderer = Renderer(assets.PAGES, str)
    pages = {page.name: page for page in assets.PAGES}

    def asked(name, path, **query):
        page = pages[name]
        given = {key.rstrip("_"): value for key, value in query.items()}
        view = page.view(Asked(lived, board, person, served.at(served.NOW), path, given))
        assert "<h1" in renderer.page(page.template, view, Frame(here="/", person=person, board=board))
        return view.data

    return asked


MINUTES = {"kind": "model", "name": "minutes"}
WINDOW = {"from_": served.at(18.5).isoformat(), "to": served.at(25.5).isoformat()}


def test_the_feature_whose_unit_changed_is_drawn_first(ask):
    found = ask("asset_drift", MINUTES, **WINDOW)
    assert found.why_none == ""
    assert found.features[0].title == "rain_mm"
    assert found.features[0].tone == "bad"
    assert found.n_rows > 300
    assert {each.title for each in found.features} == {"rain_mm", "wet", "distance_km", "shop", "hour"}
    assert len(found.table.rows) == 5


def test_both_sides_of_a_small_multiple_count_every_row(ask, lived):
    found = ask("asset_drift", MINUTES, **WINDOW)
    by_name = {each.title: each for each in found.features}
    assert by_name["shop"].labels[:2] in (("north", "south"), ("south", "north"))
    trained_on = profile_of(lived.place.stores.blobs, lived.versions("minutes")[0])
    for each in found.features:
        column = trained_on.columns[each.title]
        assert sum(each.reference) == (found.n_reference if each.labels else column.n)
        assert found.n_rows * 0.95 < sum(each.current) <= found.n_rows
        assert len(each.edges or [*each.labels, ""]) == len(each.reference) + 1


def test_a_window_in_which_nothing_was_answered_says_what_to_do(ask):
    found = ask("asset_drift", MINUTES, from_=served.at(1).isoformat(), to=served.at(2).isoformat())
    assert "choose a longer or an earlier one" in found.why_none
    assert found.features == ()


def test_predictions_are_listed_newest_first_and_paged(ask):
    first = ask("asset_predictions", MINUTES).predictions
    assert len(first.rows) == 50
    assert first.rows[0][1].at >= first.rows[-1][1].at
    before = first.more.split("before=")[1].replace("%3A", ":")
    second = ask("asset_predictions", MINUTES, before=before).predictions
    assert second.rows[0][1].at < first.rows[-1][1].at


def test_contributions_and_base_sum_to_the_prediction(ask):
    row = ask("asset_predictions", MINUTES).predictions.rows[5]
    href = row[0].href
    at = href.split("at=")[1].replace("%3A", ":")
    found = ask("prediction", {"model": "minutes", "id": row[0].text}, at=at)
    total = float(found.base) + sum(value for _, value, _ in found.contributions.rows)
    assert total == pytest.approx(row[2].value, abs=0.01)
    assert {name for name, _, _ in found.contributions.rows} == {"rain_mm", "wet", "distance_km", "shop", "hour"}
    assert dict((each[0], each[1]) for each in found.features.rows)["shop"] in ("north", "south")  # noqa: C402


def test_a_prediction_is_found_without_its_instant_and_told_what_came_true(ask):
    """Some of the rows of day 24 have their label by day 25."""
    rows = ask("asset_predictions", MINUTES, before=served.at(24).isoformat()).predictions.rows
    found = ask("prediction", {"model": "minutes", "id": rows[0][0].text})
    assert found.truth.startswith("It turned out to be")


def test_the_text_of_the_code_is_kept_under_the_hash_that_the_version_has(lived):
    model = lived.project.model("minutes")
    version = lived.versions("minutes")[0]
    kept = lived.place.stores.blobs.get(Digest(version.lineage["code"]))
    assert kept == code_text(model)
    assert sha256(kept).hexdigest() == code_hash(model)
    lines = read_code(kept)
    assert lines[0] == "class Minutes(Model):"
    assert any("LGBMRegressor" in line for line in lines)


def test_code_that_changed_is_shown_as_a_difference(ask, lived):
    version = lived.versions("minutes")[0]
    place = lived.place
    text = code_text(lived.project.model("minutes")).replace(b"dispatch", b"planning")
    from dataclasses import replace

    other = replace(version, id="minutes@changed", lineage={**version.lineage, "code": place.stores.blobs.put(text)})
    gone = replace(version, id="minutes@gone", lineage={**version.lineage, "code": "0" * 64})
    with place.transaction(served.at(served.NOW), "test") as session:
        session.registry.put_version(other)
        session.registry.put_version(gone)
    found = ask("asset_compare", MINUTES, before=version.id, after="minutes@changed")
    assert '-    owner = "dispatch"' in found.code.lines
    assert '+    owner = "planning"' in found.code.lines
    told = ask("asset_compare", MINUTES, before=version.id, after="minutes@gone").code.same
    assert "the text of minutes@gone was not kept" in told


def test_code_without_a_source_file_is_hashed_and_not_kept():
    from perdure.testing.world import World

    model = World(n_days=1).project().model("minutes")
    scope = {"Base": type(model.__name__, (model,), {"name": "typed"})}
    assert code_text(scope["Base"]) is None
    assert len(code_hash(scope["Base"])) == 64

"""Pages of runs: the list, one run whole, runs side by side."""

from __future__ import annotations

import re
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from perdure.stores.ledger.protocols import Run

CURVES = {"training.l1": [3.0, 2.0, 1.0], "valid_0.l1": [3.5, 2.5]}


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Any:
    """A world with runs of a search of parameters, one that failed, and one with curves."""
    world: Any = sys.modules["console_world"]
    folder = world.make_world(tmp_path_factory.mktemp("runs") / "shop")
    opened = world.open_project(folder)
    began = world.at(30)
    end = began + timedelta(seconds=75)
    with opened._ledger.transaction(actor="sue", at=began, reason="train") as session:
        for k, rate in enumerate((0.1, 0.05)):
            facts = {"version": "eta@new", "remedy": "retrain_recent", "curves": CURVES, "odd": {"kept": True}}
            metrics = {"train_mae": 1.0 + k, "valid_mae": 2.0 - k, "valid_bias": 0.1 - k, "auc_like": 0.5}
            session.runs.put(
                Run(f"run_rate_{k}", "train", "eta", "done", began, end, {"lr": rate, "depth": 6}, metrics, facts)
            )
        error = {"error": {"message": "fit failed at eta.py:12", "hint": "Look there."}}
        session.runs.put(Run("run_bad", "train", "eta", "failed", began, end, {}, {}, error))
        trials = {"trials": [{"params": {"lr": 0.1}, "value": 2.0, "state": "complete"}]}
        session.runs.put(Run("run_tune", "tune", "eta", "done", began, end, {"lr": 0.1}, {"mae": 2.0}, trials))
        for k in (1, 2):
            session.runs.put(Run(f"run_more_{k}", "recalibrate", "eta", "done", began, end))
        session.runs.put(Run("run_eval", "eval", "suite", "done", began, end))
        session.audit.append("loop.outcome", "eta", {"candidates": ["eta@new", "eta@old"], "winner": "eta@new", "outcome": "released", "why": "It held."})  # fmt: skip
    return world.open_console(Path(folder))


def told(console: Any, path: str) -> Any:
    answer = console.get(f"/api{path}")
    assert answer.status == 200, answer.text
    return answer.json["data"]


def test_the_list_shows_runs_newest_first_with_what_differs(runs):
    data = told(runs, "/training")
    assert data["n_all"] == data["n_found"] == 9
    assert [each["text"] for each in data["headings"][-2:]] == ["mae", "lr"]
    assert "valid_mae" in [each["text"] for each in data["headings"]]
    assert data["runs"][0]["id"].startswith("run_")


def test_a_filter_keeps_what_holds_and_goes_on_with_every_heading(runs):
    data = told(runs, "/training?q=lr%3C0.1&sort=-metrics.valid_mae")
    assert [each["id"] for each in data["runs"]] == ["run_rate_1"]
    assert all("q=lr%3C0.1" in each["href"] for each in data["headings"])
    [sorted_by] = [each for each in data["headings"] if each["order"] != "none"]
    assert (sorted_by["text"], sorted_by["order"]) == ("valid_mae", "descending")


def test_chosen_columns_replace_those_that_are_chosen_by_themselves(runs):
    data = told(runs, "/training?c.params.depth=on&c.nothing=on")
    assert [each["text"] for each in data["headings"]] == ["started", "asset", "kind", "status", "took", "depth"]
    assert data["pinned"] == ["params.depth"]


def test_a_page_holds_a_hundred_runs_and_leads_to_the_rest(runs):
    data = told(runs, "/training?skip=8")
    assert (data["first"], len(data["runs"]), data["more"]) == (9, 1, "")


def test_a_column_that_no_run_has_cannot_be_sorted_by(runs):
    answer = runs.get("/api/training?sort=valid_mea")
    assert answer.status == 400
    assert answer.json["error"]["code"]


def test_the_filter_is_a_form_that_scripts_send_while_one_types(runs):
    page = runs.get("/training").text
    form = re.search(r"<form class=\"filter\"[^>]*>", page)
    assert form is not None
    assert 'action="/training" method="get"' in form[0]
    assert 'hx-trigger="input changed delay:200ms' in form[0]
    assert 'name="r.run_rate_0"' in page
    assert 'name="r.run_eval"' not in page
    assert 'href="/language/evals/run_eval"' in page


def test_a_run_is_told_whole(runs):
    data = told(runs, "/training/run_rate_0")
    assert data["took"] == "1 min 15 s"
    assert data["metrics"]["rows"][1] == ["mae", "1.000", "2.000"]
    assert data["metrics"]["rows"][-1] == ["auc_like", "–", "0.5000"]
    [curve] = data["curves"]
    assert (curve["across"], curve["at_us"]) == ("round", [1, 2, 3])
    assert [(each["name"], each["values"]) for each in curve["series"]] == [
        ("training", [3.0, 2.0, 1.0]),
        ("valid_0", [3.5, 2.5, None]),
    ]
    assert [each["name"] for each in data["others"]] == ["odd"]
    assert data["champion_run"] == "/training/compare?runs=run_1%2Crun_rate_0"


def test_what_became_of_a_run_s_version_is_told_with_its_pointers_and_repairs(runs):
    rows = told(runs, "/training/run_rate_0")["became"]["rows"]
    assert [row[0]["text"] for row in rows] == ["challenger", "repair released, by this version"]
    assert rows[0][1] == "20% of its traffic"
    assert rows[1][1] == "It held."
    lost = told(runs, "/training/run_1")["became"]["rows"]
    assert lost[-1][0]["text"] == "repair released; another was taken"


def test_a_run_that_failed_says_why(runs):
    page = runs.get("/training/run_bad").text
    assert "fit failed at eta.py:12" in page
    assert "Look there." in page


def test_a_search_shows_its_trials(runs):
    assert told(runs, "/training/run_tune")["trials"]["rows"] == [["1", "0.1000", "2.000", "complete"]]


def test_an_unknown_run_is_not_found(runs):
    assert runs.get("/training/run_none").status == 404


def test_runs_side_by_side_mark_what_differs_and_the_best(runs):
    data = told(runs, "/training/compare?runs=run_rate_0,run_rate_1")
    assert [(row[0], row[2]["tone"]) for row in data["different"]["rows"]] == [("lr", "warn")]
    assert ["depth", "6"] in data["same"]["rows"]
    metrics = {row[0]: row[1:] for row in data["metrics"]["rows"]}
    assert metrics["valid_mae"][1]["text"] == "1.000 (-50.0%) · best"
    assert metrics["train_mae"] == [{**metrics["train_mae"][0], "text": "1.000 · best"}, "2.000 (+100.0%)"]
    assert metrics["valid_bias"][0]["tone"] == "good"
    assert metrics["auc_like"] == ["0.5000", "0.5000"]
    [curve] = data["curves"]
    assert [each["name"] for each in curve["series"]] == ["A training", "A valid_0", "B training", "B valid_0"]


def test_a_parameter_is_drawn_against_a_metric_among_all_runs_of_the_assets(runs):
    told_by = told(runs, "/training/compare?runs=run_rate_0,run_rate_1")["against"]
    assert (told_by["x"], told_by["y"]) == ("params.lr", "metrics.valid_mae")
    assert sorted(map(tuple, told_by["scatter"]["at"])) == [(0.05, 1.0), (0.1, 2.0)]
    other = told(runs, "/training/compare?runs=run_rate_0,run_rate_1&x=params.lr&y=train_mae")["against"]
    assert other["y"] == "metrics.train_mae"


def test_ticked_runs_are_compared_and_more_than_eight_are_said_to_be_left_out(runs):
    assert told(runs, "/training/compare?r.run_1=on&r.run_2=on")["ids"] == ["run_1", "run_2"]
    assert runs.get("/training/compare?r.run_1=on").status == 400
    names = [
        "run_1",
        "run_2",
        "run_rate_0",
        "run_rate_1",
        "run_bad",
        "run_tune",
        "run_more_1",
        "run_more_2",
        "run_eval",
    ]
    told_of = told(runs, f"/training/compare?runs={','.join(names)}")
    assert told_of["ids"] == names[:8]
    assert told_of["left_out"] == "1 more were named; 8 are compared at once."


def test_a_project_without_runs_says_how_to_make_one(tmp_path):
    world: Any = sys.modules["console_world"]
    (tmp_path / "perdure.toml").write_text('[project]\nname = "p"\npackage = "nothing_here"\n')
    (tmp_path / "nothing_here.py").write_text("")
    page = world.open_console(tmp_path).get("/training").text
    assert "perdure train MODEL" in page

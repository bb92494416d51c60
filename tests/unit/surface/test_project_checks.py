"""`check` tells what a project that loads still leaves to be desired."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any

import pytest
from pydantic import AfterValidator, field_validator, model_validator

from perdure import (
    Contract,
    Label,
    Model,
    Policy,
    Source,
    Team,
    csv,
    days,
    feature_view,
    freshness_h,
    hours,
    mae,
    minutes,
)
from perdure.assets.objective import SignalSpec
from perdure.assets.policy import Ramp
from perdure.assets.project import Project
from perdure.core.settings import Settings
from perdure.core.units import per_month, seconds
from perdure.surface.checks import CheckNote, check_project
from perdure.surface.project import LoadedProject

SIGNALS = {"model": ["mae", "latency_ms"], "source": ["freshness_h"]}


class Trip(Contract):
    trip_id: str
    distance_km: float
    left_at: datetime


trips = Source("trips", Trip, csv("t.csv"), event_at="left_at", owner="data", healthy=[freshness_h(over=days(1)) <= 6])


@feature_view(on=Trip)
def length(t: Any) -> dict[str, Any]:
    return {"km": t.distance_km}


class Duration(Model):
    purpose = "Dispatch"
    owner = "taxi"
    contract = Trip
    features = [length]
    rows = trips
    label = Label(trips, "distance_km", key="trip_id", known_at="left_at", delay=hours(12))
    healthy = [(mae(over=days(7)) <= 9.0).owed_to("dispatch")]

    def fit(self, data: Any, warm_start: Any = None) -> Any:
        return None


def project(**assets: Any) -> Project:
    return Project(
        "p",
        contracts={"Trip": assets.get("contract", Trip)},
        sources={"trips": assets.get("source", trips)},
        views={"length": assets.get("view", length)},
        models={"duration": assets.get("model", Duration)},
    )


def told(part: str, **assets: Any) -> CheckNote:
    """The one note whose text has `part`."""
    (note,) = [note for note in check_project(project(**assets), SIGNALS) if part in note.text]
    return note


def model(**attributes: Any) -> type[Model]:
    return type("Duration", (Duration,), {"name": "duration", "__module__": __name__, **attributes})


def test_nothing_is_said_of_a_project_in_order() -> None:
    assert check_project(project(), SIGNALS) == []


@pytest.mark.parametrize("attribute", ["purpose", "owner"])
def test_a_model_without_a_purpose_or_an_owner_is_a_warning(attribute: str) -> None:
    note = told(f"Model 'duration' has no {attribute}", model=model(**{attribute: ""}))

    assert note.level == "warning"
    assert note.hint.startswith(f"Write: {attribute} = ")


def test_a_model_without_objectives_is_a_warning() -> None:
    assert told("has no objectives: it can decay unseen", model=model(healthy=())).level == "warning"


def test_an_objective_owed_to_nobody_is_a_warning() -> None:
    note = told("owes the objective `mae over 7d <= 9` to nobody", model=model(healthy=[mae(over=days(7)) <= 9.0]))

    assert note.level == "warning"
    assert "owed_to" in note.hint


def test_an_objective_that_nothing_measures_is_an_error_with_the_nearest_signal() -> None:
    wrong = (SignalSpec("maee", days(7)) <= 9.0).owed_to("dispatch")

    note = told("is held to 'maee', which nothing measures", model=model(healthy=[wrong]))

    assert (note.level, note.hint) == ("error", "Did you mean 'mae'?")


def test_a_source_is_not_measured_by_the_signals_of_models() -> None:
    note = told("is held to 'latency', which", source=replace(trips, healthy=(SignalSpec("latency", days(1)) <= 1.0,)))

    assert note.hint == "Signals of a source: freshness_h."


@pytest.mark.parametrize(
    ("models", "sources", "part"),
    [
        (["trips"], ["trips"], "Model 'trips' has the name of a source"),
        (["duration", "duration_rows"], [], "Model 'duration_rows' has the name of the dataset of model 'duration'"),
        (["duration"], ["duration_rows"], "Source 'duration_rows' has the name of the dataset of model 'duration'"),
        (["capture"], [], "Model 'capture' has the name of the captured events"),
        ([], ["capture"], "Source 'capture' has the name of the captured events"),
    ],
)
def test_a_name_that_would_mix_what_is_known_of_two_assets_is_an_error(
    models: list[str], sources: list[str], part: str
) -> None:
    """Readings, pointers, versions and incidents are kept by name alone."""
    made = Project(
        "p",
        sources={name: replace(trips, name=name) for name in sources},
        models={name: model(name=name) for name in models},
    )
    found = [note for note in check_project(made, SIGNALS) if "would mix" in note.text]
    assert [(note.level, note.text.partition(": ")[0]) for note in found] == [("error", part)]


def test_a_source_without_objectives_is_a_warning() -> None:
    assert told("Source 'trips' has no objectives", source=replace(trips, healthy=())).level == "warning"


def test_a_stored_view_without_ttl_is_a_note() -> None:
    @feature_view(key="trip_id", source=trips)
    def length(t: Any) -> dict[str, Any]:
        return {"km": t.distance_km}

    assert told("Feature view 'length' has no ttl", view=length).level == "note"


def _field() -> type[Contract]:
    class Checked(Trip):
        @field_validator("distance_km")
        @classmethod
        def far(cls, value: float) -> float:
            return value

    return Checked


def _whole() -> type[Contract]:
    class Checked(Trip):
        @model_validator(mode="after")
        def far(self) -> Any:
            return self

    return Checked


def _annotated() -> type[Contract]:
    class Checked(Trip):
        far: Annotated[float, AfterValidator(abs)]

    return Checked


@pytest.mark.parametrize("make", [_field, _whole, _annotated])
def test_validators_of_a_contract_s_own_are_told_to_be_slow(make: Callable[[], type[Contract]]) -> None:
    note = told("its rows are judged one by one", contract=make())

    assert note.level == "note"
    assert "far" in note.text


def test_a_contract_without_fields_is_an_error() -> None:
    class Empty(Contract):
        pass

    note = told("declares no fields", contract=Empty)

    assert (note.level, note.hint) == ("error", "Write one a line, such as origin: str.")


def test_a_class_of_a_notebook_is_an_error() -> None:
    note = told("Model 'duration' lives only in a notebook", model=model(__module__="__main__"))

    assert (note.level, note.hint) == ("error", "Move it into the project's package.")


def test_a_source_whose_reader_is_a_notebook_s_function_is_an_error() -> None:
    def read() -> Any: ...

    read.__module__ = "__main__"

    assert told("Source 'trips' lives only in a notebook", source=replace(trips, read=read)).level == "error"


@pytest.mark.parametrize(
    ("attributes", "level", "part"),
    [
        ({"healthy": (), "policy": Policy.act()}, "error", "says nothing of what healthy is"),
        ({"policy": Policy(trigger="evidence")}, "warning", "a policy that only observes"),
        ({"policy": Policy.act(watch=minutes(10))}, "warning", "watches a release for 10m"),
        (
            {"policy": replace(Policy.act(), training="stateful"), "fit": lambda self, data: None},
            "error",
            "fit takes no warm_start",
        ),
    ],
)
def test_a_policy_that_does_not_fit_its_model_is_told(attributes: dict[str, Any], level: str, part: str) -> None:
    assert told(part, model=model(**attributes)).level == level


QUICK = Ramp(shadow=seconds(2), canary=hours(0))


@pytest.mark.parametrize(
    ("policy", "part"),
    [
        (Policy.act(approve_by="reviewr"), "is released by a 'reviewr', and nobody has that role"),
        (
            Policy.act(approve_by="owner", four_eyes=True),
            "by two people of the role 'owner' beside who asked; there are 1",
        ),
        (Policy.act(ramp=QUICK), "has a shadow of 2s, shorter than a round of the loop (10s)"),
        (Policy.act(trigger="schedule", every=days(1)), "is repaired every 1d, but cools down for 3d"),
        (Policy.act(retrains=per_month(0)), "may never be repaired: its budget is 0"),
    ],
)
def test_a_policy_that_fits_neither_the_project_nor_itself_is_a_warning(policy: Policy, part: str) -> None:
    settings = Settings(roles={"reviewer": ("ann", "bob"), "owner": ("local", "eve")})

    for assets in ({"model": model(policy=policy)}, {"source": replace(trips, policy=policy)}):
        [note] = [each for each in check_project(project(**assets), SIGNALS, settings) if part in each.text]
        assert note.level == "warning"


def test_policies_that_fit_are_not_told() -> None:
    settings = Settings(roles={"reviewer": ("ann", "bob")})
    fitting = Policy.act(approve_by="reviewer", four_eyes=True, ramp=Ramp(shadow=hours(0), canary=hours(0)))

    assert check_project(project(model=model(policy=fitting)), SIGNALS, settings) == []
    assert check_project(project(model=model(policy=Policy.act(approve_by="reviewer"))), SIGNALS) == []


def test_a_source_that_acts_without_an_objective_on_what_it_brings_is_a_warning() -> None:
    acting = replace(trips, policy=Policy.act(), healthy=(SignalSpec("latency_ms", days(7)) <= 0.1,))

    assert told("acts alone, but none of its objectives", source=acting).level == "warning"
    assert check_project(project(source=replace(trips, policy=Policy.act())), SIGNALS) == []


def test_a_project_without_a_model_is_a_warning() -> None:
    assert [note.text for note in check_project(Project("p"), SIGNALS)] == ["The project declares no model."]
    [note] = check_project(Project.of("p", Team("support")), SIGNALS)
    assert note.text == "The project declares teams, but no route: there is nothing that their keys may call."


def test_errors_come_first_and_each_says_where_it_is() -> None:
    whole = project(model=model(purpose="", healthy=[SignalSpec("maee", days(7)) <= 9.0]))
    loaded = LoadedProject(
        "p", whole.contracts, whole.sources, whole.views, whole.models, places={("model", "duration"): "taxi/m.py:7"}
    )

    notes = check_project(loaded, SIGNALS)

    assert [note.level for note in notes] == ["error", "warning", "warning"]
    assert {note.where for note in notes} == {"taxi/m.py:7"}


def test_a_class_of_a_project_made_by_hand_is_placed_by_its_source() -> None:
    class Checked(Trip):
        far: Annotated[float, AfterValidator(abs)]

    assert told("judged one by one", contract=Checked).where.startswith("test_project_checks.py:")


def test_groups_that_nothing_installed_can_compare_are_a_warning_with_the_command(monkeypatch: Any) -> None:
    fair = model(fair=["trip_id"])
    assert check_project(project(model=fair), SIGNALS) == []

    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    note = told("declares `fair`", model=fair)
    assert (note.level, note.hint) == ("warning", "Run: pip install 'perdure[fairness]'")

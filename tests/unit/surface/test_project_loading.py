"""A project is loaded from its folder; every mistake is told with file, line and what to write."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from perdure.core.errors import BadModel, BadObjective, BadProject, BadSource, BadView, NotFound
from perdure.core.settings import ProjectSettings, Settings
from perdure.surface.project import LoadedProject, find_project_folder, load_project

CONTRACTS = """\
from datetime import datetime

from perdure import Contract


class Trip(Contract):
    trip_id: str
    city: str
    distance_km: float
    left_at: datetime


class Fare(Contract):
    trip_id: str
    fare: float
    paid_at: datetime
"""
SOURCES = """\
from perdure import Source, csv
from taxi.contracts import Fare, Trip

trips = Source("trips", Trip, csv("trips.csv"), event_at="left_at", key=("trip_id",))
fares = Source("fares", Fare, csv("fares.csv"), event_at="paid_at", key=("trip_id",))
"""
SECOND_TRIPS = """\
from perdure import Source, csv
from taxi.contracts import Trip

more = Source("trips", Trip, csv("x.csv"), event_at="left_at")
"""
MODELS = """\
from perdure import Label, Model, feature_view, hours
from taxi.contracts import Trip
from taxi.sources import fares, trips


@feature_view(on=Trip)
def length(t):
    return {"distance_km": t.distance_km}


class FareOf(Model):
    contract = Trip
    features = [length]
    rows = trips
    label = Label(fares, "fare", key="trip_id", known_at="paid_at", delay=hours(1))

    def fit(self, data, warm_start=None):
        return None
"""
TAXI = {"taxi/__init__.py": "", "taxi/contracts.py": CONTRACTS, "taxi/sources.py": SOURCES, "taxi/models.py": MODELS}
Make = Callable[..., Path]


@pytest.fixture(autouse=True)
def _clean_imports(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leave sys.path and sys.modules as they were, and no stale bytecode of rewritten files."""
    modules = set(sys.modules)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield
    for name in set(sys.modules) - modules:
        if name.split(".")[0] in ("taxi", "declarations", "shapes"):
            del sys.modules[name]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Write a project's files into a folder."""

    def write(files: dict[str, str], *, name: str = "project") -> Path:
        for path, text in {"perdure.toml": "", **files}.items():
            file = tmp_path / name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return tmp_path / name

    return write


def load(folder: Path, package: str = "taxi") -> LoadedProject:
    return load_project(folder, Settings(project=ProjectSettings(name="p", package=package)))


def line_of(text: str, part: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), 1) if part in line)


def test_everything_that_the_modules_declare_is_collected_by_name(make: Make) -> None:
    project = load(make(TAXI))

    assert project.name == "p"
    assert sorted(project.contracts) == ["Fare", "Trip"]
    assert sorted(project.sources) == ["fares", "trips"]
    assert sorted(project.views) == ["length"]
    assert project.model("fare_of").contract is project.contracts["Trip"]


def test_the_place_of_each_declaration_is_known(make: Make) -> None:
    places = load(make(TAXI)).places

    assert places["contract", "Fare"] == f"taxi/contracts.py:{line_of(CONTRACTS, 'class Fare')}"
    assert places["source", "fares"] == f"taxi/sources.py:{line_of(SOURCES, 'fares = ')}"
    assert places["feature view", "length"] == f"taxi/models.py:{line_of(MODELS, 'def length')}"
    assert places["model", "fare_of"] == f"taxi/models.py:{line_of(MODELS, 'class FareOf')}"


def test_a_single_module_is_a_project_too(make: Make) -> None:
    folder = make({"declarations.py": CONTRACTS})

    assert sorted(load(folder, "declarations").contracts) == ["Fare", "Trip"]


def test_a_source_that_only_a_view_reaches_is_collected_with_its_contract(make: Make) -> None:
    hidden = (
        "from perdure import Source, csv, feature_view\n"
        "from shapes import Shape\n\n"
        '@feature_view(key="name", source=Source("shapes", Shape, csv("s.csv"), event_at="at"))\n'
        "def area(s):\n"
        '    return {"side": s.side}\n'
    )
    shape = (
        "from datetime import datetime\nfrom perdure import Contract\n\n"
        "class Shape(Contract):\n    name: str\n    side: float\n    at: datetime\n"
    )

    project = load(make({"declarations.py": hidden, "shapes.py": shape}), "declarations")

    assert list(project.sources) == ["shapes"]
    assert list(project.contracts) == ["Shape"]


def test_programs_and_tests_inside_the_package_are_not_run(make: Make) -> None:
    trap = "raise RuntimeError('run')"
    files = {f"taxi/{name}.py": trap for name in ("__main__", "conftest", "test_taxi", "tests/__init__")}

    assert load(make({**TAXI, **files})).models


def test_two_projects_with_one_package_name_do_not_meet(make: Make) -> None:
    first = load(make({"declarations.py": CONTRACTS}, name="one"), "declarations")
    other = "from perdure import Contract\nfrom shapes import SIDES\n\nclass Square(Contract):\n    side: float\n"
    second = load(make({"declarations.py": other, "shapes.py": "SIDES = 4"}, name="two"), "declarations")
    third = load(make({"declarations.py": other, "shapes.py": "SIDES = 3"}, name="three"), "declarations")

    assert sorted(first.contracts) == ["Fare", "Trip"]
    assert sorted(second.contracts) == ["Square"]
    assert sys.modules["shapes"].SIDES == 3
    assert second.contracts["Square"] is not third.contracts["Square"]


def test_loading_again_sees_what_was_changed(make: Make) -> None:
    folder = make({"declarations.py": CONTRACTS})
    load(folder, "declarations")
    make({"declarations.py": CONTRACTS.replace("Fare", "Toll")})

    assert sorted(load(folder, "declarations").contracts) == ["Toll", "Trip"]


@pytest.mark.parametrize(
    ("second", "kind", "name"),
    [
        ("from perdure import Contract\n\nclass Trip(Contract):\n    x: int\n", "contract", "Trip"),
        (SECOND_TRIPS, "source", "trips"),
    ],
)
def test_two_assets_under_one_kind_and_name_are_refused_with_both_places(
    make: Make, second: str, kind: str, name: str
) -> None:
    with pytest.raises(BadProject) as caught:
        load(make({**TAXI, "taxi/zoo.py": second}))

    assert f"taxi/zoo.py:{line_of(second, name)}: the {kind} '{name}' is declared twice" in str(caught.value)
    assert "(also taxi/" in str(caught.value)


@pytest.mark.parametrize(
    ("package", "told"),
    [
        ("taxy", "which is not in {folder}. Did you mean 'taxi'?"),
        ("zzz", "{folder} holds taxi."),
        ("", 'Write `package = "taxi"` under [project].'),
        ("taxi.py", 'Write "taxi".'),
        ("./taxi/models.py", 'Write "taxi.models".'),
        ("json", "'json' is a library in use"),
        ("pydantic", "'pydantic' is a library in use"),
    ],
)
def test_a_wrong_package_name_is_told_with_the_right_one(make: Make, package: str, told: str) -> None:
    folder = make(TAXI)

    with pytest.raises(BadProject) as caught:
        load(folder, package)

    assert told.format(folder=folder) in str(caught.value)


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        ("models", "class FareOf(Model):", "class FareOf(Model)", "expected ':': class FareOf(Model)"),
        ("models", "import fares, trips", "import fare, trips", "Did you mean 'fares'?"),
        ("models", "from taxi.sources", "from taxi.source", "no module 'taxi.source'. Did you mean 'taxi.sources'?"),
        ("models", "from taxi.sources", "import taxi.zzz\nfrom taxi.sources", "Add the file taxi/zzz.py"),
        ("models", "from taxi.contracts", "import nosuchlibrary.part\nfrom taxi", "pip install nosuchlibrary"),
        ("models", "import Label, Model,", "import Label,", "'Model' is not defined. Write: from perdure import Model"),
        ("models", "    features = [length]", "    features = [lenth]", "The name 'lenth' is not defined."),
        ("sources", 'csv("fares.csv")', "1 / 0", "ZeroDivisionError: division by zero"),
        ("sources", 'event_at="left_at"', 'event="left_at"', "Source takes no 'event'. Did you mean 'event_at'?"),
        (
            "sources",
            'event_at="left_at"',
            "zzzzzz=1",
            "Source takes no 'zzzzzz'. It takes name, contract, read, event_at",
        ),
        ("sources", "trips = ", "raise SystemExit(1)\ntrips = ", '`if __name__ == "__main__":`'),
        ("sources", "trips = ", "import perdure\nmae = perdure.mea\ntrips = ", "Did you mean 'mae'?"),
    ],
)
def test_a_module_that_does_not_import_is_told_with_its_line(
    make: Make, file: str, old: str, new: str, told: str
) -> None:
    text = TAXI[f"taxi/{file}.py"]
    assert old in text
    broken = text.replace(old, new)

    with pytest.raises(BadProject) as caught:
        load(make({**TAXI, f"taxi/{file}.py": broken}))

    changed = [
        at for at, pair in enumerate(zip(text.splitlines(), broken.splitlines(), strict=False), 1) if len({*pair}) > 1
    ]
    assert caught.value.facts["file"] == f"taxi/{file}.py"
    assert caught.value.facts["line"] >= changed[0]
    assert caught.value.message.startswith(f"taxi/{file}.py:{caught.value.facts['line']}: ")
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("file", "old", "new", "kind", "part", "told"),
    [
        ("sources", 'event_at="left_at"', 'event_at="left"', BadSource, "trips = ", "Did you mean 'left_at'?"),
        ("models", '"fare", key', '"fair", key', BadModel, "label = ", "Did you mean 'fare'?"),
        ("models", "    rows = trips\n", "", BadModel, "class FareOf", "lacks 'rows'"),
        ("models", "def fit", "def fat", BadModel, "class FareOf", "lacks the method 'fit'"),
        ("models", "t.distance_km}", "t.distance_kn}", BadView, "return {", "distance_km"),
        (
            "models",
            "    rows = trips\n",
            "    rows = trips\n    healthy = [latency_ms(quantile=2, over=hours(1)) <= 1]\n",
            BadObjective,
            "healthy = ",
            "0 to 1",
        ),
    ],
)
def test_a_wrong_declaration_keeps_its_error_and_gets_the_users_line(
    make: Make, file: str, old: str, new: str, kind: type[BadProject], part: str, told: str
) -> None:
    text = TAXI[f"taxi/{file}.py"].replace("import Label,", "import latency_ms, Label,")
    assert old in text
    broken = text.replace(old, new)

    with pytest.raises(kind) as caught:
        load(make({**TAXI, f"taxi/{file}.py": broken}))

    assert caught.value.message.startswith(f"taxi/{file}.py:{line_of(broken, part)}: ")
    assert caught.value.facts["file"] == f"taxi/{file}.py"
    assert told in str(caught.value)


def test_modules_that_import_each_other_are_told_so(make: Make) -> None:
    looped = CONTRACTS.replace("from perdure", "from taxi.sources import trips\nfrom perdure")

    with pytest.raises(BadProject, match="import each other: move what both need into a third"):
        load(make({**TAXI, "taxi/contracts.py": looped}))


def test_a_failed_load_leaves_nothing_behind_for_the_next(make: Make) -> None:
    folder = make({**TAXI, "taxi/sources.py": "1 / 0"})
    with pytest.raises(BadProject):
        load(folder)
    make(TAXI)

    assert load(folder).models


def test_the_project_is_found_from_a_folder_inside_it(make: Make) -> None:
    folder = make(TAXI)

    assert find_project_folder(folder / "taxi") == folder.resolve()


def test_where_there_is_no_project_init_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"no perdure\.toml in .* or above it.*perdure init"):
        find_project_folder(tmp_path)


def test_a_project_kept_among_the_libraries_is_loaded(tmp_path: Path) -> None:
    """An installed perdure carries its examples: they are projects, not libraries."""
    folder = tmp_path / "site-packages" / "carried"
    (folder / "carried_package").mkdir(parents=True)
    (folder / "carried_package" / "__init__.py").write_text(
        "from perdure import Contract\n\n\nclass Row(Contract):\n    key: str\n"
    )
    settings = Settings(project=ProjectSettings(name="carried", package="carried_package"))
    for _ in range(2):
        assert set(load_project(folder, settings).contracts) == {"Row"}

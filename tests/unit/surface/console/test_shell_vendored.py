"""What the console ships of others is what came out of their packages, with its licence, and the wheel holds all of it."""

from __future__ import annotations

import hashlib
import re
import tomllib
from importlib.resources import files

import pytest

STATIC = files("perdure.surface.console") / "static"
LIBRARIES = tomllib.loads((STATIC / "vendor" / "vendored.toml").read_text())["library"]


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda each: each["name"])
def test_every_file_is_the_one_that_was_vendored(library):
    folder = STATIC / "vendor" / library["folder"]
    assert {each.name for each in folder.iterdir()} == set(library["sha256"])
    for name, digest in library["sha256"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest, name


def test_every_library_has_its_licence_and_a_fixed_version():
    assert {(each["name"], each["version"], each["licence"]) for each in LIBRARIES} == {
        ("htmx.org", "4.0.1", "0BSD"),
        ("uplot", "1.6.32", "MIT"),
    }
    assert all("LICENSE" in each["sha256"] for each in LIBRARIES)


def test_nothing_else_stands_among_what_is_of_others():
    assert {each.name for each in (STATIC / "vendor").iterdir()} == {
        "vendored.toml",
        *(each["folder"] for each in LIBRARIES),
    }


def test_no_folder_of_ours_has_a_name_that_git_or_the_wheel_leaves_out(repository):
    ignored = {line.strip("/") for line in (repository / ".gitignore").read_text().splitlines() if line.endswith("/")}
    package = repository / "src" / "perdure" / "surface" / "console"
    folders = {each.name for each in package.rglob("*") if each.is_dir()} - {"__pycache__"}
    assert folders & ignored == set()
    assert list(package.rglob("*.woff*")) == []


@pytest.mark.parametrize("name", ["js/console.js", "js/pictures.js"])
def test_scripts_of_ours_are_small_and_evaluate_nothing(name):
    script = (STATIC / name).read_text()
    assert len(script.encode()) <= 8192 or name != "js/console.js"
    assert not re.search(r"\beval\(|new Function\(|innerHTML|document\.write|insertAdjacentHTML", script)
    assert "http://" not in script.replace("http://www.w3.org/", "")
    assert "https://" not in script


@pytest.mark.parametrize("name", ["css/tokens.css", "css/layout.css", "css/components.css", "css/pictures.css"])
def test_styles_of_ours_load_nothing(name):
    style = (STATIC / name).read_text()
    assert "@import" not in style
    assert "url(" not in style

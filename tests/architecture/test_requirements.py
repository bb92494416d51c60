"""Pins are whole, by hash, without an address, and torch is never among them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

PIN = re.compile(r"(?P<name>[a-z0-9][a-z0-9.-]*)==(?P<version>[^\s;]+)( ; .+)? \\")
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")
FILES = ["core.txt", "dev.txt", "uv.txt", "weights.txt"]


def pins(repository: Path, file: str) -> set[tuple[str, str]]:
    lines = (repository / "requirements" / file).read_text().splitlines()
    return {(match["name"], match["version"]) for line in lines if (match := PIN.fullmatch(line))}


def declared(requirements: list[str]) -> set[str]:
    return {re.split(r"[^A-Za-z0-9.-]", each)[0].lower() for each in requirements}


@pytest.mark.parametrize("file", FILES)
def test_a_file_holds_pins_and_hashes_and_nothing_else(repository: Path, file: str) -> None:
    lines = (repository / "requirements" / file).read_text().splitlines()

    assert [line for line in lines if not (PIN.fullmatch(line) or HASH.fullmatch(line))] == []
    assert lines


@pytest.mark.parametrize("file", FILES)
def test_torch_is_never_pinned(repository: Path, file: str) -> None:
    assert {name for name, _ in pins(repository, file) if name.startswith(("torch", "nvidia"))} == set()


def test_everything_that_is_declared_is_pinned(repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text())
    runtime = declared(project["project"]["dependencies"])
    dev = declared(project["dependency-groups"]["dev"] + project["project"]["optional-dependencies"]["demo"])

    assert runtime - {name for name, _ in pins(repository, "core.txt")} == set()
    assert (runtime | dev) - {name for name, _ in pins(repository, "dev.txt")} == set()


def test_development_tests_the_versions_that_users_get(repository: Path) -> None:
    assert pins(repository, "core.txt") - pins(repository, "dev.txt") == set()

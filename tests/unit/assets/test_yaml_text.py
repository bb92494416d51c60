"""YAML put together from its events: lines of every part, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from perdure.assets.yaml_text import NotYaml, load_lined, load_yaml


def test_every_part_has_its_line() -> None:
    data, lines = load_lined("prompt: a\ncases:\n- id: x\n  inputs: {q: 1}\n\n- id: y\n")

    assert data == {"prompt": "a", "cases": [{"id": "x", "inputs": {"q": 1}}, {"id": "y"}]}
    assert (lines["cases", 0], lines["cases", 0, "inputs"], lines["cases", 0, "inputs", "q"]) == (3, 4, 4)
    assert lines["cases", 1, "id"] == 6


def test_lines_are_kept_down_to_a_depth() -> None:
    assert set(load_lined("a: {b: {c: 1}}", depth=2)[1]) == {(), ("a",), ("a", "b")}


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("no", "no"), ("on", "on"), ("12:30", "12:30"), ("007", "007"), ("0x10", "0x10"), ("1_000", "1_000"),
        ("2024-01-01", "2024-01-01"), (".nan", ".nan"), ("true", True), ("False", False), ("~", None), ("null", None),
        ("7", 7), ("-3", -3), ("1.5", 1.5), ("1e3", 1000.0), ("'7'", "7"), ("!!str 7", "7"), ("!!int '7'", 7),
    ],
)  # fmt: skip
def test_words_are_read_as_they_are_written(word: str, value: Any) -> None:
    found = load_yaml(f"a: {word}", as_written=True)["a"]

    assert found == value
    assert type(found) is type(value)


def test_without_it_words_are_read_as_yaml_1_1_does() -> None:
    assert load_yaml("[no, 12:30, 007]") == [False, 750, 7]


def test_nothing_is_none() -> None:
    assert load_yaml("") is None
    assert load_yaml("# a comment") is None


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("a: &x [1]\nb: *x", 2, "alias"),
        ("a: 1\nb: 2\na: 3", 3, "'a' is there twice"),
        ("a: {b: 1, b: 2}", 1, "'b' is there twice"),
        ("a: 1\n---\nb: 2", 2, "a second document"),
        ("? [a]\n: b", 1, "a key must be a word"),
        ("a: !!python/name:os.system x", 1, "tag"),
        ("a: !!set {b}", 1, "means nothing here"),
        ("a: !!int x", 1, "means nothing"),
        ("a:\n  b: [", 3, "did not find expected"),
        ("a: 1e999", 1, "too large"),
        ("a: " + "9" * 1000, 1, "too many digits"),
        ("[" * 100_000, 1, "too deep"),
        ("- " * 20_000, 1, "too deep"),
        ("a: \x00", 1, "a character that YAML does not allow"),
    ],
)
def test_what_is_no_plain_document_is_refused_by_its_line(text: str, line: int, why: str) -> None:
    with pytest.raises(NotYaml, match=why) as caught:
        load_yaml(text, as_written=True)

    assert caught.value.line == line

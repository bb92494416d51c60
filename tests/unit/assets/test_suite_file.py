"""Cases and suites from YAML, JSONL and code: what is read, and where what cannot be stands."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from perdure import Case, Suite, scorers, suites
from perdure.assets.suite_file import case_digest, read_cases
from perdure.core.errors import BadSuite

Write = Callable[..., Path]
HEAD = "prompt: p\nscorers: [exact]\n"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file; gives its path."""

    def written(text: str, name: str = "s.yaml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return written


def test_a_whole_suite_is_read_from_a_file(write: Write) -> None:
    suite = Suite.from_file(
        write(
            "prompt: support\nrole: primary\nn_samples: 3\nmargin: 0.05\nscorers: [exact, {token_f1: {weight: 0.5}}]\n"
            'cases:\n  - id: late\n    inputs: {question: "Where is it?"}\n    expected: soon\n    tags: [a, b]\n',
            "refunds.yaml",
        )
    )

    assert (suite.name, suite.prompt, suite.role, suite.n_samples, suite.margin) == (
        "refunds",
        "support",
        "primary",
        3,
        0.05,
    )
    assert suite.scorers == (scorers.Exact(), scorers.TokenF1(weight=0.5))
    read = suite.read()
    assert read.cases == (Case("late", {"question": "Where is it?"}, "soon", tags=("a", "b")),)
    assert read.place("late") == "refunds.yaml:7"


def test_yaml_jsonl_and_code_are_one_version(write: Write) -> None:
    cases = [Case("a", {"q": "x"}, 7, ("text",), "c", weight=2.0), Case("b", {"q": "y"})]
    rows = [{"id": "a", "inputs": {"q": "x"}, "expected": 7, "contexts": ["text"], "cluster": "c", "weight": 2},
            {"id": "b", "inputs": {"q": "y"}}]  # fmt: skip
    listed = write("".join(f"- {json.dumps(row)}\n" for row in rows), "cases.yaml")
    lines = write("\ufeff" + "\n\n".join(map(json.dumps, rows)), "cases.jsonl")
    whole = write(HEAD + "cases: cases.jsonl")

    made = [Suite("s", each, [scorers.Exact()], prompt="p") for each in (cases, listed, lines)]
    assert {json.dumps(each.definition()) for each in (*made, Suite.from_file(whole))} == {
        json.dumps(made[0].definition())
    }


def test_a_version_is_the_cases_content_and_not_their_names_tags_or_order() -> None:
    def version(*cases: Case) -> dict[str, Any]:
        return Suite("s", cases, [scorers.Exact()], prompt="p").definition()

    first, second = Case("a", {"q": 1}, "x"), Case("b", {"q": 2}, "y")
    same = version(first, second)
    assert same == version(second, Case("other", {"q": 1}, "x", tags=("t",), provenance={"from": "production"}))
    for other in (Case("a", {"q": 1}, "z"), Case("a", {"q": 1}, "x", weight=2.0), Case("a", {"q": 1}, "x", cluster="c"),
                  Case("a", {"q": 1}, "x", ("said",))):  # fmt: skip
        assert version(other, second) != same


def test_a_case_without_an_id_gets_one_from_its_content(write: Write) -> None:
    file = write("- inputs: {q: 1}\n- {id: 7, inputs: {q: 2}}\n")
    first, second = read_cases(file).cases

    assert first.id == case_digest(first)[:12]
    assert second.id == "7"
    assert read_cases(write("- inputs: {q: 1}")).cases[0].id == first.id


def test_words_that_yaml_reads_as_something_else_stay_texts(write: Write) -> None:
    file = write(
        "- {inputs: {q: a}, expected: no}\n- {inputs: {q: b}, expected: 12:30}\n- {inputs: {q: c}, expected: 2024-01-01}"
    )

    assert [case.expected for case in read_cases(file).cases] == ["no", "12:30", "2024-01-01"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("- inputs: {q: 1}\n  expcted: 2", r"s\.yaml:2: a case has no 'expcted'. Did you mean 'expected'"),
        ("- {id: a, inputs: {q: 1}}\n- {id: a, inputs: {q: 2}}", r"s\.yaml:2: the id 'a' is taken by the case at s\.yaml:1"),
        ("- inputs: {q: 1}\n- text", r"s\.yaml:2: a case is an object, but this is a text"),
        ("- expected: 1", r"s\.yaml:1: the case has no inputs"),
        ("- inputs: [1]", r"s\.yaml:1: `inputs` must be an object, but it is a list"),
        ("- inputs: {1: 2}", "`inputs` must be an object"),
        ("- inputs: {q: 1}\n  tags: a", r"s\.yaml:2: `tags` must be a list of texts, but it is a text"),
        ("- inputs: {q: 1}\n  tags: [1]", r"`tags` must be a list of texts"),
        ("- inputs: {q: 1}\n  weight: -1", r"s\.yaml:2: `weight` must be a number, 0 or more"),
        ("- inputs: {q: 1}\n  weight: true", "`weight` must be a number, 0 or more, but it is true or false"),
        ("- inputs: {q: 1}\n  id: true", "`id` must be a text of one line"),
        ("- inputs: {q: 1}\n  cluster: 5", "`cluster` must be a text, but it is a number"),
        ("- inputs: {q: 1}\n  provenance: human", "`provenance` must be an object"),
        ("- inputs: {q: 1}\n  contexts: text", "`contexts` must be a list of texts"),
        ("- inputs: {q: 1}\n  contexts: [{id: a}]", "`contexts` must be a list of texts, or of {id, text, relevant}"),
        ("- inputs: {q: 1}\n  contexts: [{text: a, relvant: true}]", "no 'relvant'. Did you mean 'relevant'"),
        ("- inputs: {messages: []}", "a list of messages"),
        ("- inputs: {messages: [{role: user}]}", r"a list of {role, content}"),
        ("cases: 5\n", r"s\.yaml:1: the cases are no list"),
        ("{}", "there are no cases"),
        ("", "has no case"),
        ("[]", "has no case"),
        ("cases: &a\n- *a", r"s\.yaml:2: the alias \*a stands here"),
        ("cases:\n- {inputs: {q: 1, q: 2}}", r"s\.yaml:2: 'q' is there twice"),
    ],
)  # fmt: skip
def test_cases_that_cannot_be_are_refused_by_their_place(write: Write, text: str, why: str) -> None:
    with pytest.raises(BadSuite, match=why):
        read_cases(write(text))


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('{"inputs": {"q": 1}, "id": "a", "id": "b"}', r"s\.jsonl:3: 'id' is there twice"),
        ('{"inputs": {"q": NaN}}', r"s\.jsonl:3: NaN is no number of JSON"),
        ('{"inputs": {"q": 1e999}}', r"s\.jsonl:3: inf has no canonical form"),
        ('{"inputs":', r"s\.jsonl:3: Expecting value \(column 11\)"),
        ('{"inputs": {"q": "\\ud800"}}', r"s\.jsonl:3: the case holds what UTF-8 or JSON cannot"),
        ("[" * 100_000, r"s\.jsonl:3: it is too deep"),
    ],
)
def test_lines_of_json_that_two_machines_would_read_otherwise_are_refused(write: Write, line: str, why: str) -> None:
    with pytest.raises(BadSuite, match=why):
        read_cases(write('{"inputs": {"q": 0}}\n\n' + line + "\n", "s.jsonl"))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("cases: []", r"s\.yaml:1: there are no scorers"),
        ("- inputs: {q: 1}", "this is no whole suite"),
        (HEAD + "margn: 1\ncases: []", r"s\.yaml:3: a suite has no 'margn'. Did you mean 'margin'"),
        ("prompt: p\nscorers: exact\ncases: []", r"s\.yaml:2: `scorers` is no list"),
        ("prompt: p\nscorers:\n- exact\n- {matches: (a}\ncases: []", r"s\.yaml:4: The pattern"),
        ("prompt: p\nscorers:\n- exct\ncases: []", r"s\.yaml:3: There is no scorer 'exct'"),
        (HEAD + "n_samples: two\ncases: []", r"s\.yaml:3: `n_samples` is no number"),
        (HEAD + "n_samples: 1.5\ncases: []", "asks for 1.5 samples"),
        (HEAD + "role: [primary]\ncases: []", r"s\.yaml:3: `role` is no text"),
        (HEAD + "role: main\ncases: []", "has the role 'main'"),
        ("scorers: [exact]\ncases: []", "names neither prompt nor route"),
        (HEAD + "name: A b\ncases: []", "'A b' is not legal"),
    ],
)
def test_a_file_that_is_no_whole_suite_is_refused_by_its_place(write: Write, text: str, why: str) -> None:
    with pytest.raises(BadSuite, match=why):
        Suite.from_file(write(text))


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("refund.yaml", "cannot be read: No such file or directory.*Did you mean 'refunds.yaml'"),
        ("refunds.csv", "is no file of cases"),
    ],
)
def test_a_file_that_is_not_there_is_told_with_the_nearest(write: Write, name: str, why: str) -> None:
    file = write(HEAD, "refunds.yaml")
    with pytest.raises(BadSuite, match=why):
        read_cases(file.with_name(name))


def test_a_file_of_cases_names_another_only_once(write: Write) -> None:
    write("cases: s.yaml", "other.yaml")

    with pytest.raises(BadSuite, match="the cases are no list"):
        read_cases(write("cases: other.yaml"))


def test_cases_made_in_code_are_held_to_the_same_rules() -> None:
    with pytest.raises(BadSuite, match="case 2: `tags` must be a list of texts"):
        Suite("s", [Case("a", {"q": 1}), Case("b", {"q": 2}, tags="x")], [scorers.Exact()], prompt="p")  # type: ignore[arg-type]
    with pytest.raises(BadSuite, match="case 1 is a dict"):
        Suite("s", [{"inputs": {}}], [scorers.Exact()], prompt="p")  # type: ignore[list-item]
    with pytest.raises(BadSuite, match="has no case"):
        Suite("s", [], [scorers.Exact()], prompt="p")


def test_a_folder_of_suites_is_read_without_those_that_begin_with_an_underscore(write: Write, tmp_path: Path) -> None:
    write(HEAD + "cases: [{inputs: {q: 1}}]", "suites/b.yaml")
    write(HEAD + "cases: [{inputs: {q: 1}}]", "suites/deep/a.yml")
    write("- inputs: {q: 1}", "suites/_cases.yaml")
    write("{}", "suites/more.jsonl")

    assert list(suites(tmp_path / "suites")) == ["b", "a"]


def test_two_suites_of_one_name_and_a_folder_that_is_not_there_are_refused(write: Write, tmp_path: Path) -> None:
    write(HEAD + "cases: [{inputs: {q: 1}}]", "suites/a.yaml")
    write(HEAD + "cases: [{inputs: {q: 1}}]", "suites/deep/a.yaml")

    with pytest.raises(BadSuite, match=r"the suite 'a' is in .*a\.yaml too"):
        suites(tmp_path / "suites")
    with pytest.raises(BadSuite, match="no folder"):
        suites(tmp_path / "suits")

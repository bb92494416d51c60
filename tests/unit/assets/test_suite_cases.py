"""What cases are to each other and to the examples of prompts, and the snapshot that a run keeps."""

from __future__ import annotations

from pathlib import Path

import pytest

from perdure import Case, Prompt, Suite, scorers
from perdure.assets.scorer_specs import scorer_definition
from perdure.assets.suite_cases import FrozenSuite, clustered, duplicates, improves, leaks
from perdure.assets.suite_file import PlacedCases, case_digest, read_cases
from perdure.assets.version import Version
from perdure.core.clock import EPOCH
from perdure.core.errors import BadSuite

LONG = "How long may I keep the shoes that I bought in your shop in Berlin before I send them back to you"
OTHER = "Which of your offices answers the telephone on a Sunday afternoon when all of the shops are closed"


def told(prefix: str, text: str = LONG) -> str:
    return f"{text}, {prefix}?"


def suite(*cases: Case, **settings: object) -> Suite:
    return Suite("s", cases, [scorers.Exact()], prompt="p", **settings)  # type: ignore[arg-type]


def read(*cases: Case) -> PlacedCases:
    return read_cases(cases)


def shows(*examples: Case, user: str = "{{ q }}", before: tuple[tuple[str, str], ...] = ()) -> Prompt:
    return Prompt("p", [*before, ("user", user)], "r", variables={"q": str}, examples=examples)


def test_the_same_question_twice_is_found_whatever_its_spelling_and_answer() -> None:
    [pair] = duplicates(read(Case("a", {"q": "Why  is\nit late?"}, "x"), Case("b", {"q": "why is it \uff4cate?"}, "y")))

    assert (pair.first, pair.second, pair.exact) == ("case 1", "case 2", True)


def test_nearly_the_same_question_is_found_and_another_is_not() -> None:
    [pair] = duplicates(
        read(Case("a", {"q": told("please")}), Case("b", {"q": told("please!")}), Case("c", {"q": OTHER}))
    )

    assert (pair.first, pair.second, pair.exact) == ("case 1", "case 2", False)


def test_two_questions_on_one_long_text_are_two() -> None:
    cases = read(
        Case("a", {"text": LONG * 20, "q": "Who pays the parcel?"}),
        Case("b", {"text": LONG * 20, "q": "Who brings the box?"}),
    )

    assert duplicates(cases) == []


def test_short_texts_are_the_same_only_if_they_are_equal() -> None:
    assert duplicates(read(Case("a", {"q": "7 + 5 = ?"}), Case("b", {"q": "7 + 6 = ?"}))) == []
    assert duplicates(read(Case("a", {"n": 7}), Case("b", {"n": 7.5}))) == []


def test_other_contexts_make_another_case() -> None:
    assert (
        duplicates(read(Case("a", {"q": "Why?"}, contexts=("one",)), Case("b", {"q": "Why?"}, contexts=("two",)))) == []
    )


def test_cases_that_are_nearly_the_same_are_one_cluster_and_others_are_their_own() -> None:
    found = clustered([Case("a", {"q": told("please")}), Case("b", {"q": told("please!")}), Case("c", {"q": OTHER}),
                       Case("d", {"q": "x"}, cluster="mine")])  # fmt: skip

    names = [each.cluster for each in found]
    assert names[0] == names[1]
    assert len(set(names)) == 3
    assert names[3] == "mine"


def test_a_case_that_is_added_behind_the_others_changes_no_cluster_of_theirs() -> None:
    cases = [Case("a", {"q": told("please")}), Case("c", {"q": OTHER}), Case("d", {"q": "x"})]
    before = clustered(cases)

    assert clustered([*cases, Case("b", {"q": told("please!")})])[:3] == before


def test_what_is_given_to_each_case_does_not_make_them_belong_together() -> None:
    rules = {"rules": LONG * 10}
    found = clustered(
        [Case(str(n), {**rules, "q": q}) for n, q in enumerate(["Who pays?", "When does it come?", OTHER])]
    )

    assert len({each.cluster for each in found}) == 3


def test_cases_on_one_document_among_many_belong_together() -> None:
    documents = [f"{LONG} {n} " * 10 for n in ("red", "blue", "green", "black")]
    found = clustered(
        [Case(f"{n}{q}", {"text": text, "q": q}) for n, text in enumerate(documents) for q in ("Who?", "When?")]
    )

    names = [each.cluster for each in found]
    assert names[0] == names[1]


@pytest.mark.parametrize(
    ("example", "exact"),
    [
        (Case("e", {"q": told("please").upper()}, "x"), True),
        (Case("e", {"q": told("please!!")}, "x"), False),
        (Case("e", {"messages": [{"role": "user", "content": f"Question: {told('please')}"}]}, "x"), True),
    ],
)
def test_a_case_that_a_prompt_shows_leaks(example: Case, exact: bool) -> None:
    [pair] = leaks(read(Case("z", {"q": OTHER}), Case("a", {"q": told("please")}, "other")), shows(example).shown)

    assert (pair.first, pair.second, pair.exact) == ("case 2", "the examples of prompt 'p'", exact)


def test_a_case_leaks_into_turns_that_are_written_into_the_prompt() -> None:
    prompt = shows(before=(("user", told("please")), ("assistant", "30 days")))
    [pair] = leaks(read(Case("a", {"q": told("please")})), prompt.shown)

    assert pair.second == "prompt 'p', message 1"


@pytest.mark.parametrize(
    "case",
    [
        Case("a", {"q": "Why?"}),
        Case("a", {"q": OTHER}),
        Case("a", {"q": told("please"), "text": OTHER}),
        Case("a", {"other": told("please")}),
    ],
)
def test_another_case_leaks_not(case: Case) -> None:
    example = Case("e", {"q": told("please")}, "x")

    assert leaks(read(case), shows(example).shown) == []


def test_the_same_short_question_leaks_and_a_part_of_another_does_not() -> None:
    messages = Case("e", {"messages": [{"role": "user", "content": "Why late?"}]}, "x")

    assert leaks(read(Case("a", {"q": "why late?"})), shows(messages).shown) != []
    assert leaks(read(Case("a", {"q": "why"})), shows(messages).shown) == []
    assert leaks(read(Case("a", {"q": "why?"})), shows(Case("e", {"q": "Why?"}, "x")).shown) != []


def test_a_snapshot_reads_back_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(
        "prompt: p\nscorers: [exact, {together: [rouge_l, {matches: a}]}, {fits_schema: {type: object}}]\n"
        "cases:\n- {id: a, inputs: {q: é}, expected: {x: [1, null]}, tags: [t], contexts: [a, {id: b, text: c}]}\n"
    )
    declared = Suite.from_file(file)
    frozen = declared.frozen()
    file.write_text("gone")
    again = FrozenSuite.from_bytes(frozen.data)

    assert (again.cases, again.digests, again.data) == (frozen.cases, frozen.digests, frozen.data)
    assert (again.version, again.digest) == (frozen.version, frozen.digest)
    assert [scorer_definition(each) for each in again.scorers()] == [
        scorer_definition(each) for each in declared.scorers
    ]
    assert again.cases[0].cluster.startswith("~")


def test_an_edited_suite_is_another_version_and_the_snapshot_stays() -> None:
    one = suite(Case("a", {"q": 1}, "x")).frozen()

    assert suite(Case("b", {"q": 1}, "x", tags=("t",))).frozen().version == one.version
    assert suite(Case("a", {"q": 1}, "y")).frozen().version != one.version
    assert suite(Case("a", {"q": 1}, "x"), margin=0.1).frozen().version != one.version


def test_a_custom_scorer_comes_back_while_its_code_is_the_same() -> None:
    def length(case: object, answer: object) -> float:
        return 1.0

    def width(case: object, answer: object) -> float:
        return 0.5

    def of(function: object) -> Suite:
        return Suite("s", [Case("a", {"q": 1})], [scorers.Custom(function, label="own")], prompt="p")  # type: ignore[arg-type]

    frozen = of(length).frozen()
    assert frozen.scorers(of(length)) == of(length).scorers
    for now in (of(width), None):
        with pytest.raises(BadSuite, match="'own' is another one than when the run began"):
            frozen.scorers(now)


def test_nothing_is_frozen_that_asks_twice_or_is_shown() -> None:
    with pytest.raises(BadSuite, match="the case at case 2 asks the same as the one at case 1"):
        suite(Case("a", {"q": 1}), Case("b", {"q": 1})).frozen()
    with pytest.raises(BadSuite, match="case 1 stands in the examples of prompt 'p' at the examples of prompt 'p'"):
        suite(Case("a", {"q": LONG})).frozen([shows(Case("e", {"q": LONG}, "x"))])


def test_a_version_that_is_tested_may_show_what_it_learned_from_and_nothing_that_judges_it() -> None:
    cases = [
        Case(f"c{n}", {"q": " ".join(f"{n * k * 7919 % 10_007}" for k in range(3, 15))}, cluster=f"c{n}")
        for n in range(20)
    ]
    made = suite(*cases, improve_share=0.5)
    frozen = made.frozen()

    def version(case: Case) -> Version:
        definition = shows(Case("e", case.inputs, "x")).definition()
        return Version("p@1", "p", "prompt", definition, {}, {}, {}, EPOCH)

    made.frozen(versions=[version(frozen.improve[0])])
    with pytest.raises(BadSuite, match="stands in the examples of p@1 at example 'e'"):
        made.frozen(versions=[version(frozen.gate[0])])


def test_clusters_are_split_by_name_into_what_improves_and_what_judges() -> None:
    frozen = suite(*(Case(str(n), {"q": f"{n}"}, cluster=f"c{n}") for n in range(400)), improve_share=0.3).frozen()

    assert sorted(each.id for each in (*frozen.improve, *frozen.gate)) == sorted(map(str, range(400)))
    assert 80 < len(frozen.improve) < 160
    assert all(improves(each.cluster, 0.3) for each in frozen.improve)
    assert suite(Case("a", {"q": 1}), improve_share=0.0).frozen().improve == ()


def test_what_a_case_is_by_content_is_worked_out_once_in_freezing(monkeypatch):
    """Some 4 µs a case; clusters, the definition and the snapshot take it from there."""
    asked = []

    def counting(case):
        asked.append(case.id)
        return case_digest(case)

    read_once = suite(*(Case(f"c{n}", {"q": f"{OTHER} {n}"}) for n in range(5)))
    for module in ("suite_file", "suite_cases"):
        monkeypatch.setattr(f"perdure.assets.{module}.case_digest", counting)
    frozen = read_once.frozen()
    assert asked == [f"c{n}" for n in range(5)]
    assert list(frozen.digests) == [case_digest(each) for each in frozen.cases]

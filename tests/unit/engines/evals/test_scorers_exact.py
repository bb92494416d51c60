from __future__ import annotations

import pytest

from perdure.assets.scorers import Contains, Exact, Matches, Number
from perdure.core.clock import cpu_s


@pytest.mark.parametrize(
    ("expected", "said", "value"),
    [
        ("Paris", "  Paris\n", 1.0),
        ("Paris", "paris", 0.0),
        ("", "", 1.0),
        ("\uff54okyo", "tokyo", 1.0),
        ("Zu\u0308rich", "Zürich", 1.0),
        ("東京", "東京", 1.0),
        ("القاهرة", "القاهرة", 1.0),
        (["twelve", "12"], "12", 1.0),
        (12, "12", 1.0),
        (True, "true", 1.0),
        ({"city": "Bonn", "n": 1}, '```json\n{"n": 1.0, "city": "Bonn"}\n```', 1.0),
        ({"city": "Bonn", "n": 1}, '{"city": "Bonn", "n": true}', 0.0),
        ([1, 2], "[1, 2]", 1.0),
        ({"text": "Paris", "refuses": False}, "Paris", 1.0),
        ({"json": {"text": "Paris"}}, '{"text": "Paris"}', 1.0),
    ],
)
def test_exact_compares_texts_in_one_form_and_objects_as_json(scored, expected, said, value) -> None:
    assert scored(Exact(), expected, said).value == value


def test_exact_folds_case_where_it_is_told_to(scored) -> None:
    assert scored(Exact(fold_case=True), "Straße", "STRASSE").value == 1.0


@pytest.mark.parametrize("declared", [Exact(), Number()])
def test_what_is_compared_with_nothing_does_not_apply(scored, declared) -> None:
    found = scored(declared, None, "Paris")

    assert (found.value, found.outcome) == (None, "not_applicable")
    assert found.why.startswith("the case expects n")


@pytest.mark.parametrize(
    ("pattern", "whole", "said", "value"),
    [
        (r"\bA-\d{4}\b", False, "Order A-1234 is on its way.", 1.0),
        (r"\d+", True, "12\n", 0.0),
        ("a|b", True, "ab", 0.0),
        ("a|b", True, "b", 1.0),
        (r"^\w+$", False, "Straße", 1.0),
        (r"^[\w ]+$", False, "東京 タワー", 1.0),
        (r"^\d\d$", False, "٤١", 1.0),
        (r"\W", False, "é", 0.0),
        (r"(?i)über", False, "ÜBER", 1.0),
        (r"[\]\w]+", True, "a]é", 1.0),
    ],
)
def test_a_pattern_is_found_in_any_script(scored, pattern, whole, said, value) -> None:
    assert scored(Matches(pattern, whole=whole), None, said).value == value


def test_no_pattern_hangs_a_run(scored) -> None:
    begun = cpu_s()

    assert scored(Matches("(a+)+$", whole=True), None, "a" * 50_000 + "b").value == 0.0
    assert cpu_s() - begun < 1.0


@pytest.mark.parametrize(
    ("expected", "said"),
    [
        (12, "It has 12 lanes."),
        (1250.5, "Das sind 1.250,50 Euro."),
        (1250.5, "That is 1,250.50 dollars."),
        (1250, "1 250 personnes"),
        (3.142, "about 3.142"),
        (3142, "3.142 Einwohner"),
        (0.5, "50 %"),
        (50, "50%"),
        ("50 %", "0.5"),
        (-3, "It is −3 degrees."),
        (42, "٤٢"),
        (1889, "１８８９年"),
        (2e-6, "2e-6"),
        ("#### 72", "So she sold 48 + 24 = 72."),
        (0.125, "0.125"),
        (10**15, "1,000,000,000,000,000"),
        (0.5, "It is .5"),
    ],
)
def test_a_number_is_the_same_however_it_is_written(scored, expected, said) -> None:
    assert scored(Number(), expected, said).value == 1.0


@pytest.mark.parametrize(
    ("expected", "said", "why"),
    [
        (12, "It has 13 lanes.", "13 is not 12"),
        (12, "It has many lanes.", "no number in the answer"),
        (3, "version 1.2.3", "no number in the answer"),
        (4, "see A4", "no number in the answer"),
        (float(10**308), "9" * 400, "no number"),
    ],
)
def test_another_number_or_none_is_wrong_and_told(scored, expected, said, why) -> None:
    found = scored(Number(), expected, said)

    assert found.value == 0.0
    assert why in found.why or found.why


def test_which_of_several_numbers_counts_is_declared(scored) -> None:
    said = "Between 10 and 20."

    assert scored(Number(), 20, said).value == 1.0
    assert scored(Number(which="first"), 10, said).value == 1.0
    assert scored(Number(which="only"), 20, said).why == "2 numbers in the answer"


def test_a_tolerance_is_absolute_plus_a_share_of_the_expected(scored) -> None:
    assert scored(Number(absolute=0.5), 10, "10.5").value == 1.0
    assert scored(Number(relative=0.1), 10, "11").value == 1.0
    assert scored(Number(relative=0.1), 0, "0.1").value == 0.0
    assert scored(Number(absolute=0.5, relative=0.1), 10, "11.6").value == 0.0


@pytest.mark.parametrize(
    ("expected", "said", "value"),
    [
        ("Oslo", "She lives in oslo.", 1.0),
        ("Oslo", "She lives in Oslofjord.", 0.0),
        ("23", "Platform 123", 0.0),
        (23, "Platform 23!", 1.0),
        (["red", "blue"], "It is blue.", 1.0),
        ("Straße", "in der STRASSE 5", 1.0),
        ("東京", "彼女は 東京 にいる", 1.0),
        ("Oslo", "", 0.0),
    ],
)
def test_a_text_stands_in_an_answer_as_a_whole_word(scored, expected, said, value) -> None:
    assert scored(Contains(), expected, said).value == value


def test_where_no_spaces_stand_a_text_stands_anywhere(scored) -> None:
    assert scored(Contains(), "東京", "日本の首都は東京です。").value == 1.0


def test_of_several_texts_every_one_may_be_wanted(scored) -> None:
    assert scored(Contains(every=True), ["red", "blue"], "It is blue.").value == 0.0
    assert scored(Contains(every=True), ["red", "blue"], "Red and blue.").value == 1.0

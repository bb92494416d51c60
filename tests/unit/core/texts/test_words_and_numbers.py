from __future__ import annotations

import pytest

from perdure.core.texts.claims import facts_of, is_claim, supports
from perdure.core.texts.numbers import find_numbers
from perdure.core.texts.tokens import answer_words, folded, n_common, words
from perdure.engines.answers import refusals as refusals_of_routes
from perdure.engines.guards import folding as folding_of_guards


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("don't stop_now 3x", ["don", "t", "stop", "now", "3x"]),
        ("Größe ÄPFEL", ["grösse", "äpfel"]),
        ("e\u0301te\u0301", ["été"]),
        ("日本語とEnglish", ["日", "本", "語", "と", "english"]),
        ("كِتَابٌ جديد", ["كتاب", "جديد"]),
        ("हिन्दी", ["हिन्दी"]),
        ("ไทย", ["ไ", "ท", "ย"]),
        ("한국어 문장", ["한국어", "문장"]),
        ("👍", []),
    ],
)
def test_words_are_runs_of_letters_or_letters_where_no_spaces_stand(text, found) -> None:
    assert words(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The U.S.-based author's", ["usbased", "authors"]),
        ("„Größe“ — the end…", ["grösse", "end"]),
        ("東京、Tokyo・Osaka", ["東", "京", "tokyo", "osaka"]),
        ("x東y", ["x", "東", "y"]),
        ("👍 é", ["👍", "é"]),
    ],
)
def test_answer_words_are_without_punctuation_and_articles(text, found) -> None:
    assert answer_words(text) == found


def test_folding_makes_one_of_forms_that_mean_the_same() -> None:
    assert folded("ﬁn STRASSE") == folded("fin straße")


def test_a_common_subsequence_is_in_order_and_counts_what_repeats() -> None:
    assert n_common([], [1]) == 0
    assert n_common([1, 1, 2], [1, 2, 1]) == 2
    assert n_common(list(range(500)), list(range(0, 500, 3))) == 167


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1.234.567,89", [1234567.89]),
        ("1,234,567.89", [1234567.89]),
        ("1'250", [1250.0]),
        ("1\u202f250,5 €", [1250.5]),
        ("12.05.2024", []),
        ("1,2,3", [1.0, 2.0, 3.0]),
        ("1.5,2.5", [1.5, 2.5]),
        ("5-3", [5.0, 3.0]),
        ("(-3)", [-3.0]),
        ("\u0663\u066b\u0665", [3.5]),
        ("約42人", [42.0]),
        ("3.", [3.0]),
        ("1e3 and 2E-2", [1000.0, 0.02]),
    ],
)
def test_numbers_are_read_as_people_write_them(text, values) -> None:
    assert [each.readings[0] for each in find_numbers(text)] == values


def test_a_number_with_one_mark_before_three_digits_has_two_readings() -> None:
    assert [each.readings for each in find_numbers("1.250 1,250 0.125")] == [(1.25, 1250.0), (1250.0, 1.25), (0.125,)]


def test_a_name_that_begins_a_source_is_a_name_and_one_that_begins_a_claim_a_word() -> None:
    claim = facts_of("They met Bo in Ulm.")

    assert not supports(facts_of("Bo lives in Ulm, and met them."), claim)
    assert supports(facts_of("Bo lives in Ulm, and met them.", begins=True), claim)
    assert is_claim(claim)


def test_guards_and_routes_know_what_moved_under_its_old_name() -> None:
    assert folding_of_guards.plainest("Règles") == "regles"
    assert refusals_of_routes.refusing_language("I can't help with that.") == "en"


@pytest.mark.parametrize(
    "message",
    [{"tool_calls": "x"}, {"tool_calls": [None, {"function": 3}]}, {"content": 3}, {"content": {"text": "x"}}],
)
def test_a_message_in_no_known_form_refuses_nothing(message) -> None:
    assert not refusals_of_routes.refuses(message)

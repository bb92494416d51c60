"""Equal values have equal bytes; what has no plain form is refused."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.core.canonical import bytes_hash, canonical_json, content_hash, plain
from perdure.core.errors import DeclarationError

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


class Colour(Enum):
    RED = "red"


@dataclass(frozen=True)
class Point:
    x: float
    tags: frozenset[str]


@given(st.dictionaries(st.text(), values, max_size=6), st.randoms(use_true_random=False))
def test_the_order_of_keys_does_not_change_the_hash(value: dict[str, Any], random: Any) -> None:
    items = list(value.items())
    random.shuffle(items)

    assert content_hash(dict(items)) == content_hash(value)


@given(values)
def test_a_plain_value_is_its_own_plain_form(value: Any) -> None:
    assert plain(plain(value)) == plain(value)


def test_objects_become_json() -> None:
    found = plain(
        {
            "point": Point(1.5, frozenset({"b", "a"})),
            "at": datetime(2013, 3, 1, tzinfo=UTC),
            "day": date(2013, 3, 1),
            "span": timedelta(hours=1),
            "colour": Colour.RED,
            "bytes": b"\x01\xff",
            "pair": (1, 2),
        }
    )

    assert found == {
        "point": {"x": 1.5, "tags": ["a", "b"]},
        "at": "2013-03-01T00:00:00Z",
        "day": "2013-03-01",
        "span": 3600.0,
        "colour": "red",
        "bytes": "01ff",
        "pair": [1, 2],
    }


def test_canonical_json_is_sorted_tight_utf8() -> None:
    assert canonical_json({"b": "é", "a": [1, None]}) == '{"a":[1,null],"b":"é"}'.encode()


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_json_lacks_is_refused(number: float) -> None:
    with pytest.raises(DeclarationError, match="null for a missing number"):
        canonical_json([number])


def test_an_object_without_a_plain_form_is_refused_by_its_type() -> None:
    with pytest.raises(DeclarationError, match="A function has no canonical form"):
        plain(test_canonical_json_is_sorted_tight_utf8)


def test_hashes_are_sha256_in_hex() -> None:
    assert bytes_hash(b"abc") == hashlib.sha256(b"abc").hexdigest()
    assert content_hash("abc") == hashlib.sha256(b'"abc"').hexdigest()


def test_kinds_of_texts_and_of_keys_are_written_as_the_plain_ones() -> None:
    """What is a kind of text or number, as a value or a key, has the same bytes as the plain one."""

    class Told(str):
        __slots__ = ()

    assert canonical_json({Told("b"): Told("x"), 1: True}) == canonical_json({"b": "x", "1": True})

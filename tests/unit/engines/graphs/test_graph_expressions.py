"""References and conditions: what they say, what is wrong with them and where, what they come to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.core.errors import BadGraph
from perdure.engines.graphs.expressions import LONGEST, Ref, parse, reference, refs
from perdure.engines.graphs.values import holds, resolve, same, template

VALUES = {
    "sort": {"kind": "question", "n": 3, "tags": ["a", "b"], "empty": None},
    "found": {"hits": [{"text": "one"}, {"text": "two"}]},
    "input": {"a member": 1},
    "none": None,
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$sort.kind == 'question'", True),
        ("$sort.kind != 'question'", False),
        ("$sort.n > 2 and $sort.n <= 3", True),
        ("$sort.n < 2 or not $sort.empty", True),
        ("not ($sort.n < 2 or $sort.n > 2)", False),
        ("'a' in $sort.tags", True),
        ("$sort.kind in ['complaint', \"question\"]", True),
        ("$sort.kind not in ['complaint']", True),
        ("'quest' in $sort.kind", True),
        ("'n' in $sort", True),
        ("$found.hits[1].text == 'two'", True),
        ("$found.hits[7].text == null", True),
        ("$none.some.thing == null", True),
        ("$none > 3", False),
        ("$none < 3", False),
        ("'x' in $none", False),
        ("$sort.n == true", False),
        ("$sort.n == 3.0", True),
        ("$input['a member'] == 1", True),
        ("$sort.tags == ['a', 'b']", True),
        (r"'it\'s' == 'it\'s'", True),
        ("-1.5e3 < 0", True),
        ("$none", False),
        ("$sort.tags", True),
        ("not $none and $sort", True),
    ],
)
def test_a_condition_comes_to_what_it_says(text, expected):
    assert holds(parse(text), VALUES) is expected


@pytest.mark.parametrize(
    ("text", "column", "told"),
    [
        ("", 1, "empty"),
        ("$sort.kind == ", 15, "ends where a value"),
        ("$sort.kind = 'a'", 12, "Write ==."),
        ("$a && $b", 4, "Write and."),
        ("question == 'a'", 1, "$question"),
        ("$a == True", 7, "true, false or null"),
        ("$a.", 3, "member or a place"),
        ("$a[x]", 3, "member or a place"),
        ("$a < $b < $c", 9, "two sides"),
        ("($a", 4, "`)` is expected"),
        ("$a in ['x'", 11, "`,` or `]`"),
        ("$a $b", 4, "behind '$a'"),
        ("'open", 1, "Close the quote."),
        ("$ a", 1, "Write $node"),
        ("$a not 3", 8, "`in` is expected"),
        ("f($a)", 1, "expected"),
        ("__import__('os')", 1, "expected"),
        ("(" * 100 + "$a" + ")" * 100, 41, "too deep"),
        ("not " * 100 + "$a", 165, "too deep"),
        ("$a" + " " * LONGEST, LONGEST, "characters"),
    ],
)
def test_what_is_no_expression_is_told_with_its_column(text, column, told):
    with pytest.raises(BadGraph) as error:
        parse(text)

    assert error.value.facts["column"] == column
    assert told in str(error.value)


@pytest.mark.parametrize("text", ["$a == 1", "'a'", "not $a"])
def test_what_is_given_on_is_one_reference(text):
    with pytest.raises(BadGraph, match="one reference"):
        reference(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [("$sort.kind > 3", "a text with a number"), ("3 in $sort.kind", "a number in a text"), ("$sort.n.x", "a number"),
     ("$sort[0]", "an object"), ("$sort.tags.x", "a list"), ("true > false", "a truth value")],
)  # fmt: skip
def test_values_that_cannot_be_compared_or_entered_are_told(text, told):
    with pytest.raises(BadGraph, match=told):
        holds(parse(text), VALUES)


def test_a_template_is_json_with_its_references_filled_in():
    made = template({"a": "$found.hits[0].text", "b": ["$sort.n", "plain", "$$5"], "c": {"d": None, "e": "costs $5"}})

    assert resolve(made, VALUES) == {"a": "one", "b": [3, "plain", "$5"], "c": {"d": None, "e": "costs $5"}}


def test_every_reference_of_an_expression_is_found():
    found = [str(each) for each in refs(parse("not ($a.b > 1 or $c in [$d, 2]) and $e[0]"))]

    assert found == ["$a.b", "$c", "$d", "$e[0]"]


@given(st.text(alphabet="$ab.[]()'\"<>=!in ordt01,\\\n", max_size=40))
def test_any_text_is_an_expression_or_refused_with_a_column(text):
    try:
        parse(text)
    except BadGraph as error:
        assert error.facts["column"] >= 1  # noqa: PT017 - both ends are right


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(-2, 2) | st.text(max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=8,
)


@given(_json, _json)
def test_sameness_is_that_of_json(left, right):
    assert same(left, left)
    assert same(left, right) == same(right, left)


@given(st.lists(st.from_regex(r"[a-z]{1,5}", fullmatch=True) | st.integers(0, 9), max_size=5))
def test_a_reference_reads_as_it_is_written(path):
    ref = Ref("node", tuple(path))

    assert parse(str(ref)) == ref

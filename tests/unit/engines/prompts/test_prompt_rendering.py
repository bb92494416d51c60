"""What templates may hold, what variables may be, and what comes out."""

from __future__ import annotations

from typing import Any

import pytest

from perdure.assets.prompt import Prompt
from perdure.core.errors import BadPrompt
from perdure.engines.prompts import compile_prompt, render, response_format

ANY: dict[str, Any] = {}


def rendered(template: str, **variables: Any) -> str:
    """One message of variables of any type."""
    definition = {
        "messages": [{"role": "user", "content": template}],
        "variables": {"type": "object", "properties": dict.fromkeys(variables, ANY)},
    }
    [message] = render(definition, variables)
    return message["content"]


@pytest.mark.parametrize(
    ("template", "variables", "text"),
    [
        ("{{ x }}", {"x": "{{ y }} {% raw %}"}, "{{ y }} {% raw %}"),
        ("{{ x }}", {"x": "<b>&'\""}, "<b>&'\""),
        ("{{ x }} {{ y }}", {"x": 1.5, "y": 3}, "1.5 3"),
        ("{{ x }}|{{ y }}|{{ z }}", {"x": None, "y": True, "z": [1, {"b": None, "a": "é"}]}, '|true|[1,{"a":"é","b":null}]'),
        ("{{ x ~ '.' ~ y }}", {"x": None, "y": False}, ".false"),
        ("{{ x.items }} {{ x['keys'] }}", {"x": {"items": 3, "keys": 4}}, "3 4"),
        ("{% for k, v in x|dictsort %}{{ k }}={{ v }};{% endfor %}", {"x": {"b": 1, "a": 2}}, "a=2;b=1;"),
        ("{% for n in x %}{{ loop.index }}/{{ loop.length }} {{ n }}\n{% endfor %}", {"x": ["a", "b"]}, "1/2 a\n2/2 b\n"),
        ("{% for n in x if n > 1 %}{{ n }}{% else %}none{% endfor %}", {"x": [1]}, "none"),
        ("{% if x and x|length > 1 %}many{% elif x %}one{% else %}none{% endif %}", {"x": [1]}, "one"),
        ("{{ x|join(', ') }} {{ x|reverse|first }} {{ x|unique }}", {"x": [1, 2, 2]}, "1, 2, 2 2 [1,2]"),
        ("{{ x|upper|replace('A', 'bb') }} {{ x[0] }} {{ x[1:] }}", {"x": "abc"}, "bbBC a bc"),
        ("{{ x.y|default('none') }} {{ x is mapping }}", {"x": {}}, "none true"),
        ("{{ x|tojson }} {{ x|round(1) if x is number else '' }}", {"x": 1.25}, "1.25 1.2"),
        ("a\n{{ x|indent(2) }}", {"x": "b\nc"}, "a\nb\n  c"),
        ("{% raw %}{{ y }}{% endraw %}{{ x }}{# nothing #}", {"x": 1}, "{{ y }}1"),
        ("{% for x in [1, 2] %}{{ x }}{% endfor %}{{ x }}", {"x": "a"}, "12a"),
    ],
)  # fmt: skip
def test_a_template_renders(template: str, variables: dict[str, Any], text: str) -> None:
    assert rendered(template, **variables) == text


@pytest.mark.parametrize(
    "template",
    [
        "{{ x.__class__ }}", "{{ x['__class__'] }}", "{{ x|attr('a') }}", "{{ x.upper() }}", "{{ range(3) }}", "{{ self }}",
        "{{ x * 10 }}", "{{ x ** 10 }}", "{{ '%99d' % x }}", "{% set y = x %}{{ y }}", "{% include 'a.md' %}{{ x }}",
        "{% import 'a' as b %}{{ x }}", "{% extends 'a' %}{{ x }}", "{% macro m() %}{% endmacro %}{{ x }}",
        "{% block b %}{{ x }}{% endblock %}", "{% with y = x %}{{ y }}{% endwith %}", "{% filter upper %}{{ x }}{% endfilter %}",
        "{% for i in x recursive %}{% endfor %}", "{% for _i in x %}{% endfor %}", "{{ x|random }}", "{{ x|_each }}",
        "{{ x|map('upper') }}", "{{ x|pprint }}", "{{ x is callable }}", "{{ x|format(1) }}", "{{ loop }}{{ x }}",
        "{{ x", "{% if x %}", "{{ x }}{% endif %}", "{{ y }}{{ x }}", "{{ caller }}{{ x }}", "{{ _left }}{{ x }}",
        "{{ " + "(" * 3000 + "x" + ")" * 3000 + " }}", "{{ " + " + ".join(["x"] * 3000) + " }}",
        "{% for a in x %}" * 30 + "{% endfor %}" * 30,
    ],
)  # fmt: skip
def test_what_no_prompt_may_hold_is_refused_when_it_is_compiled(template: str) -> None:
    definition = {
        "messages": [{"role": "user", "content": template}],
        "variables": {"type": "object", "properties": {"x": ANY}},
    }
    with pytest.raises(BadPrompt):
        compile_prompt("p", definition)


@pytest.mark.parametrize(
    ("template", "variables", "why"),
    [
        ("{{ x.y }}", {"x": {}}, "no attribute 'y'"),
        ("{{ x.y.z }}", {"x": {}}, "no attribute 'y'"),
        ("{{ x.upper }}", {"x": "a"}, "no attribute 'upper'"),
        ("{{ x.keys }}", {"x": {}}, "no attribute 'keys'"),
        ("{{ x[y] }}", {"x": {}, "y": "swordfish"}, "[…]"),
        ("{{ x[y] }}", {"x": "a", "y": "__class__"}, "[…]"),
        ("{{ x|max(attribute=y) }}", {"x": [1, 2], "y": "__class__"}, "[…]"),
        ("{{ x + 1 }}", {"x": "swordfish"}, "TypeError"),
        ("{{ 1 / x }}", {"x": 0}, "ZeroDivisionError"),
        ("{{ x|sort }}", {"x": [1, "a"]}, "TypeError"),
        ("{% for i in x %}{{ loop }}{% endfor %}", {"x": [1]}, "prints what is no value"),
        ("{% for i in x %}.{% endfor %}", {"x": "a" * 10_001}, "more than 10,000 rounds"),
        ("{% for i in x %}{% for j in x %}.{% endfor %}{% endfor %}", {"x": "a" * 150}, "more than 10,000 rounds"),
        ("{% for i in x %}{{ y }}{% endfor %}", {"x": "a" * 100, "y": "b" * 10_001}, "more than 1,000,000 characters"),
        ("{{ x|join(y) }}", {"x": "a" * 10_000, "y": "b" * 10_000}, "more than 1,000,000 characters"),
        ("{{ x|replace('a', y) }}", {"x": "a" * 10_000, "y": "b" * 10_000}, "more than 1,000,000 characters"),
        ("{{ x|indent(y) }}", {"x": "a\nb", "y": 10**9}, "more than 1,000,000 characters"),
        ("{{ x }}", {"x": "\ud800"}, "no text that UTF-8 can hold"),
        ("{{ x[0] }}", {"x": ["\ud800"]}, "no text that UTF-8 can hold"),
    ],
)
def test_what_cannot_be_rendered_is_told_without_a_value(template: str, variables: dict[str, Any], why: str) -> None:
    with pytest.raises(BadPrompt) as raised:
        rendered(template, **variables)

    assert why in str(raised.value)
    assert "swordfish" not in str(raised.value)


def test_a_power_of_a_caller_s_choice_is_not_computed() -> None:
    assert rendered("{{ x|round(y) }}", x=1.25, y=10**12) == "1.25"


def test_two_messages_together_are_no_longer_than_one_may_be() -> None:
    prompt = Prompt("p", [("user", "{{ x }}"), ("assistant", "{{ x }}")], "r", variables={"x": str})

    with pytest.raises(BadPrompt, match="Prompt 'prompt' comes to more than 1,000,000"):
        render(prompt.definition(), {"x": "a" * 600_000})


ASKED = Prompt(
    "answer",
    [("system", "{{ tone }} {{ limit }} {{ about }}"), ("user", "{{ question }}{{ notes }}")],
    "r",
    variables={
        "question": {"type": "str", "max_length": 9},
        "tone": {"choices": ["formal", "casual"], "default": "formal"},
        "limit": {"type": "int", "default": 3},
        "notes": {"type": "list[str]", "default": []},
        "about": {"default": None},
    },
).definition()


def test_defaults_stand_in() -> None:
    assert render(ASKED, {"question": "Why?"}) == [
        {"role": "system", "content": "formal 3 "},
        {"role": "user", "content": "Why?[]"},
    ]


@pytest.mark.parametrize(
    ("variables", "why"),
    [
        ({}, "lacks the variable 'question'"),
        ({"qestion": "Why?"}, "Did you mean 'question'?"),
        ({"question": "Why?", "extra": 1}, "has no variable 'extra'"),
        ({"question": 3}, "'question' of prompt 'answer' is wrong: it is not of type"),
        ({"question": None}, "is wrong"),
        ({"question": "a" * 10}, "it is longer than 9 characters"),
        ({"question": "a", "tone": "rude"}, 'it is not one of "formal" or "casual"'),
        ({"question": "a", "limit": "3"}, "is wrong"),
        ({"question": "a", "limit": 3.0}, "it is no whole number"),
        ({"question": "a", "limit": True}, "is wrong"),
        ({"question": "a", "notes": ["a", 3]}, "'notes.1'"),
        ({"question": "a", "notes": "a"}, "is wrong"),
        ({"question": b"a"}, "nothing that JSON has"),
        ({"question": "a", "notes": [object()]}, "nothing that JSON has"),
    ],
)
def test_variables_are_held_strictly_to_what_is_declared(variables: dict[str, Any], why: str) -> None:
    with pytest.raises(BadPrompt) as raised:
        compile_prompt("answer", ASKED).render(variables)

    assert why in str(raised.value)


def test_a_variable_that_no_message_uses_is_refused() -> None:
    prompt = Prompt("p", [("user", "{{ question }}")], "r", variables={"question": str, "tone": str})

    with pytest.raises(BadPrompt, match="declares 'tone', which no message uses"):
        compile_prompt("p", prompt.definition())


def test_a_name_that_is_no_variable_is_told_with_the_nearest() -> None:
    prompt = Prompt("p", [("user", "{{ qestion }} {{ question }}")], "r", variables={"question": str})

    with pytest.raises(BadPrompt, match=r"uses 'qestion', which is no variable of it\. Did you mean 'question'"):
        compile_prompt("p", prompt.definition())


def test_what_was_given_and_what_is_declared_stay_as_they_are() -> None:
    prompt, given = compile_prompt("answer", ASKED), {"question": "Why?"}

    assert prompt.render(given) == prompt.render(given)
    assert given == {"question": "Why?"}


def test_a_schema_that_reaches_out_is_refused() -> None:
    outside = {"type": "object", "properties": {"x": {"$ref": "https://example.com/schema.json"}}}

    with pytest.raises(BadPrompt, match="no JSON schema"):
        compile_prompt("p", {"messages": [{"role": "user", "content": "{{ x }}"}], "variables": outside})
    with pytest.raises(BadPrompt, match="output of prompt 'p' is no JSON schema"):
        response_format("p", '{"type": "strange"}')


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        ('{"type": "object", "properties": {"a": {}}, "required": ["a"], "additionalProperties": false}', True),
        ('{"type": "object", "properties": {"a": {}}, "additionalProperties": false}', None),
        ('{"type": "array", "items": {"type": "object", "properties": {}}}', None),
    ],
)
def test_the_form_is_strict_where_the_schema_is_closed(schema: str, strict: bool | None) -> None:
    form = response_format("a.b", schema)

    assert form is not None
    assert (form["json_schema"]["name"], form["json_schema"].get("strict")) == ("a_b", strict)
    assert response_format("a", None) is None

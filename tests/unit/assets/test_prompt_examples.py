"""Few-shot examples of prompts by reference, and variants for single models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from perdure import Case, Prompt
from perdure.assets.prompt_examples import shown_by
from perdure.core.canonical import content_hash
from perdure.core.errors import BadPrompt
from perdure.engines.prompts import compile_prompt, for_model, render

Write = Callable[..., Path]
SHOTS = (
    '{"id": "late", "inputs": {"q": "Where {{ is }} it?"}, "expected": "Wait."}\n'
    '{"id": "json", "inputs": {"messages": [{"role": "user", "content": "Say {{ b }}"}]}, "expected": {"b": 1, "a": []}}\n'
)
FRONT = "---\nroute: r\nvariables: {{q: str, tone: {{type: str, default: kind}}}}\n{more}\n---\n# system\nBe {{{{ tone }}}}.\n# user\nQ: {{{{ q }}}}\n"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a prompt with more front matter, and files beside it; gives the prompt."""

    def written(more: str, **files: str) -> Path:
        for name, text in {
            "answer.md": FRONT.format(more=more),
            **{k.replace("__", "."): v for k, v in files.items()},
        }.items():
            (tmp_path / name).write_text(text)
        return tmp_path / "answer.md"

    return written


def made(*examples: Any, **settings: Any) -> Prompt:
    return Prompt(
        "p", [("system", "Be kind."), ("user", "Q: {{ q }}")], "r", variables={"q": str}, examples=examples, **settings
    )


def test_examples_by_reference_stand_between_system_and_question(write: Write) -> None:
    prompt = Prompt.from_file(write("examples: shots.jsonl#json,late", shots__jsonl=SHOTS))

    assert [(each["role"], each["content"]) for each in render(prompt.definition(), {"q": "Why {{ q }}?"})] == [
        ("system", "Be kind."),
        ("user", "Say {{ b }}"),
        ("assistant", '{"b":1,"a":[]}'),
        ("user", "Q: Where {{ is }} it?"),
        ("assistant", "Wait."),
        ("user", "Q: Why {{ q }}?"),
    ]


def test_without_ids_all_of_a_file_are_shown_and_several_files_may_be_named(write: Write) -> None:
    more = '{"id": "c", "inputs": {"q": "c"}, "expected": "C"}'
    path = write("examples: [shots.jsonl, 'more.yaml#c']", shots__jsonl=SHOTS, more__yaml=f"- {more}")

    assert [each["id"] for each in Prompt.from_file(path).definition()["examples"]] == ["late", "json", "c"]


def test_a_version_holds_examples_by_content(write: Write) -> None:
    path = write("examples: shots.jsonl#late", shots__jsonl=SHOTS)
    before = content_hash(Prompt.from_file(path).definition())

    (path.parent / "shots.jsonl").write_text(SHOTS + '{"id": "new", "inputs": {"q": "x"}, "expected": "y"}\n')
    assert content_hash(Prompt.from_file(path).definition()) == before
    (path.parent / "shots.jsonl").write_text(SHOTS.replace("Wait.", "Go."))
    assert content_hash(Prompt.from_file(path).definition()) != before


def test_a_prompt_without_examples_and_variants_is_the_version_that_it_was() -> None:
    assert set(made().definition()) == {"messages", "variables", "route", "params", "output"}


def test_examples_in_code_are_cases_and_a_copy_keeps_them() -> None:
    prompt = made(Case("late", {"q": "Why?"}, 7), variants={"up/small": [("user", "{{ q }}")]})

    assert prompt.definition()["examples"] == [{"id": "late", "inputs": {"q": "Why?"}, "answer": "7"}]
    assert replace(prompt, route="s").definition() == {**prompt.definition(), "route": "s"}


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ("shots.jsonl#lat", "example 'lat', which is not in shots.jsonl. Did you mean 'late'"),
        ("shot.jsonl", "shot.jsonl cannot be read.*Did you mean 'shots.jsonl'"),
        ("[shots.jsonl#late, shots.jsonl]", "has the example 'late' twice"),
        ("bad.jsonl", r"bad\.jsonl:1: a case has no 'input'"),
        ("open.jsonl", r"open\.jsonl:1: the example 'a' of prompt 'answer' has no answer"),
        ("7", "`examples` in the front matter is no text"),
        ("[7]", "has 7 for an example"),
    ],
)
def test_examples_that_cannot_be_shown_are_refused_by_their_place(write: Write, told: str, why: str) -> None:
    path = write(
        f"examples: {told}",
        shots__jsonl=SHOTS,
        bad__jsonl='{"input": {}}',
        open__jsonl='{"id": "a", "inputs": {"q": "x"}}',
    )
    with pytest.raises(BadPrompt, match=why):
        Prompt.from_file(path)


@pytest.mark.parametrize(
    ("example", "why"),
    [
        (Case("a", {"p": "x"}, "y"), r"'p \(example a\)' has no variable 'p'"),
        (Case("a", {}, "y"), r"'p \(example a\)' lacks the variable 'q'"),
        (Case("a", {"q": 7}, "y"), "The variable 'q'"),
        (Case("a", {"messages": [{"role": "user", "content": [1]}]}, "y"), "content that is no text"),
    ],
)
def test_an_example_with_other_variables_than_the_question_s_is_refused_when_it_is_made_ready(
    example: Case, why: str
) -> None:
    with pytest.raises(BadPrompt, match=why):
        compile_prompt("p", made(example).definition())


def test_variables_need_one_user_message() -> None:
    prompt = Prompt("p", [("user", "{{ q }}"), ("assistant", "a"), ("user", "And?")], "r", variables={"q": str},
                    examples=[Case("a", {"q": "x"}, "y")])  # fmt: skip

    with pytest.raises(BadPrompt, match="has 2 user messages"):
        compile_prompt("p", prompt.definition())


def test_variables_of_system_messages_need_no_value_in_an_example(write: Write) -> None:
    compile_prompt("p", Prompt.from_file(write("examples: shots.jsonl", shots__jsonl=SHOTS)).definition())


def test_what_a_version_shows_is_told_of_the_version_too() -> None:
    prompt = Prompt("p", [("user", "Hi"), ("assistant", "Hello"), ("user", "{{ q }}"), ("assistant", "x"), ("user", "y")],
                    "r", variables={"q": str}, examples=[Case("a", {"messages": [{"role": "user", "content": "x"}]}, "y")])  # fmt: skip

    assert [(each.place, each.texts()) for each in shown_by(prompt.definition())] == [
        ("example 'a'", {"": "x"}),
        ("message 1", {"": "Hi"}),
    ]


def test_one_model_is_told_its_own_words(write: Write) -> None:
    small = "---\nparams: {temperature: 0.5}\n---\n# user\nShort, {{ tone }}: {{ q }}"
    path = write(
        "params: {temperature: 0, seed: 1}\nvariants: {up/small: _small.md, up/tiny: _tiny.md}",
        _small__md=small,
        _tiny__md="{% include '_rules.md' %} {{ q }} {{ tone }}",
        _rules__md="Be brief.",
    )
    definition = Prompt.from_file(path).definition()

    assert definition["variants"]["up/tiny"]["messages"] == [
        {"role": "user", "content": "Be brief. {{ q }} {{ tone }}"}
    ]
    own = for_model(definition, "up/small")
    assert own["params"] == {"temperature": 0.5, "seed": 1}
    assert render(own, {"q": "Why?"}) == [{"role": "user", "content": "Short, kind: Why?"}]
    assert render(for_model(definition, "up/large"), {"q": "Why?"}) == render(definition, {"q": "Why?"})
    assert "variants" not in for_model(definition, "up/large")


def test_a_variant_in_code_and_in_a_file_are_one_version(write: Write) -> None:
    path = write("variants: {up/small: _small.md}", _small__md="---\nparams: {n_probs: 1}\n---\n{{ q }} {{ tone }}")
    prompt = Prompt.from_file(path)
    coded = replace(
        prompt, variants={"up/small": {"messages": [("user", "{{ q }} {{ tone }}")], "params": {"n_probs": 1}}}
    )

    assert coded.definition() == prompt.definition()


@pytest.mark.parametrize(
    ("variants", "why"),
    [
        ({"small": [("user", "{{ q }}")]}, "'small', which is no model. Write upstream/model"),
        ({"up/small": []}, "The variant of prompt 'p' for up/small has no message"),
        ({"up/small": [("usr", "{{ q }}")]}, "Message 1 of the variant of prompt 'p' for up/small has the role 'usr'"),
        ({"up/small": {"messages": [("user", "{{ q }}")], "params": {"stream": True}}}, "set 'stream'"),
        ({"up/small": 7}, "has 7 for a variant"),
        (["up/small"], "are no mapping"),
    ],
)
def test_a_variant_that_means_nothing_is_refused(variants: Any, why: str) -> None:
    with pytest.raises(BadPrompt, match=why):
        made(variants=variants)


def test_a_variant_s_file_says_nothing_but_params(write: Write) -> None:
    path = write("variants: {up/small: _small.md}", _small__md="---\nroute: r\n---\n{{ q }}")

    with pytest.raises(BadPrompt, match=r"_small\.md: the front matter has 'route', which means nothing. Use params"):
        Prompt.from_file(path)

"""Prompts as declared: in code, in Markdown, a folder of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field, field_validator

from perdure import Prompt, prompts
from perdure.core.canonical import content_hash
from perdure.core.errors import BadPrompt

FRONT = "---\nroute: support\nvariables: {question: str}\n---\n"


@pytest.fixture
def write(tmp_path: Path) -> Any:
    """Write files of a prompts' folder; gives the first's path."""

    def written(**files: str) -> Path:
        paths = [tmp_path / f"{name.replace('__', '/')}.md" for name in files]
        for path, text in zip(paths, files.values(), strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return paths[0]

    return written


def messages(prompt: Prompt) -> list[tuple[str, str]]:
    return [(each["role"], each["content"]) for each in prompt.definition()["messages"]]


def test_a_file_and_the_same_in_code_are_one_version(write: Any) -> None:
    file = write(
        answer="---\nroute: support\nvariables:\n  question: str\n  tone: {type: str, default: formal}\n"
        "params: {temperature: 0}\n---\n\n# system\nBe {{ tone }}.\n\n# user\n\n{{ question }}\n"
    )
    made = Prompt(
        "answer",
        [("system", "Be {{ tone }}."), ("user", "{{ question }}")],
        route="support",
        variables={"question": str, "tone": {"type": "str", "default": "formal"}},
        params={"temperature": 0},
    )

    assert Prompt.from_file(file).definition() == made.definition()
    assert Prompt.from_file(file).name == "answer"


def test_a_body_without_headings_is_the_user_s(write: Any) -> None:
    assert messages(Prompt.from_file(write(a=FRONT + "{{ question }}\n## Note\n"))) == [
        ("user", "{{ question }}\n## Note")
    ]


def test_headings_of_other_words_and_in_fences_are_text(write: Any) -> None:
    told = Prompt.from_file(write(a=FRONT + "# user\n# Users\n```\n# system\n```\n{{ question }}"))

    assert messages(told) == [("user", "# Users\n```\n# system\n```\n{{ question }}")]


def test_an_include_is_text_relative_to_its_file_and_opens_no_message(write: Any) -> None:
    file = write(
        a=FRONT + '# user\n{% include "_parts/rules.md" %}\n{{ question }}',
        _parts__rules='Rules:\n{% include "tone.md" %}\n',
        _parts__tone="# system\nBe kind.\n",
    )

    assert messages(Prompt.from_file(file)) == [("user", "Rules:\n# system\nBe kind.\n{{ question }}")]


def test_what_an_include_says_is_part_of_the_version(write: Any) -> None:
    files = {"a": FRONT + '{% include "_b.md" %}{{ question }}'}
    before = Prompt.from_file(write(**files, _b="one")).definition()

    assert Prompt.from_file(write(**files, _b="two")).definition() != before


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("../outside.md", "outside of the prompts' folder"),
        ("/etc/hostname", "outside of the prompts' folder"),
        ("_link.md", "outside of the prompts' folder"),
        ("_b.mdd", "Did you mean '_b.md'?"),
        ("_circle.md", "_circle.md → _other.md → _circle.md"),
        ("a.md", "includes itself: a.md → a.md"),
        ("_many.md", "more than 200 includes"),
    ],
)
def test_an_include_that_cannot_be_is_refused(write: Any, tmp_path: Path, path: str, why: str) -> None:
    file = write(
        inside__a=FRONT + '{% include "' + path + '" %}{{ question }}',
        inside___b="",
        outside="secret",
        inside___circle='{% include "_other.md" %}',
        inside___other='{% include "_circle.md" %}',
        inside___many='{% include "_b.md" %}' * 300,
    )
    (tmp_path / "inside" / "_link.md").symlink_to(tmp_path / "outside.md")

    with pytest.raises(BadPrompt) as raised:
        Prompt.from_file(file)

    assert why in str(raised.value)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{{ question }}", r"a\.md:1: there is no front matter"),
        ("---\nroute: [\n---\nx", r"a\.md:\d: "),
        ("---\n- a\n---\nx", "no mapping"),
        ("---\nvariables: {}\n---\nx", "names no route"),
        ("---\nroute: a\nroutee: b\n---\nx", "Did you mean 'route'"),
        ("---\nroute: a\nroute: b\n---\nx", r"a\.md:3: 'route' is there twice"),
        ("---\nroute: a\nvariables: {q: str, q: int}\n---\nx", "'q' is there twice"),
        ("---\nroute: 7\n---\nx", "`route` in the front matter is no text"),
        ("---\nroute: a\nparams: [1]\n---\nx", "`params` in the front matter is no mapping"),
        ("---\nroute: a\nvariables: {q: &a str, r: *a}\n---\nx", r"a\.md:3: the alias \*a stands here"),
        ("---\nroute: a\n---\n", "no message"),
        ("---\nroute: a\n---\nx\n# user\ny", "text before the first heading"),
        ("---\nroute: a\n---\n# system\n\n# user\ny", r"a\.md:6: the section above, # system, is empty"),
        ("---\nroute: a\n---\n# user\ny\n# system\nz", "Put those of system first"),
        ("---\nroute: a\nname: A b\n---\nx", "'A b' is not legal"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_by_its_place(write: Any, text: str, why: str) -> None:
    with pytest.raises(BadPrompt, match=why):
        Prompt.from_file(write(a=text))


def test_a_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_bytes(b"---\nroute: a\n---\n\xff")
    with pytest.raises(BadPrompt, match="no UTF-8"):
        Prompt.from_file(tmp_path / "a.md")
    with pytest.raises(BadPrompt, match="cannot be read"):
        Prompt.from_file(tmp_path / "b.md")


def test_line_ends_of_another_system_make_no_other_version(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_bytes((FRONT + "# user\nTwo\nlines {{ question }}\n").encode())
    before = Prompt.from_file(tmp_path / "a.md").definition()
    (tmp_path / "a.md").write_bytes(
        b"\xef\xbb\xbf" + (FRONT + "# user\nTwo\nlines {{ question }}\n").replace("\n", "\r\n").encode()
    )

    assert Prompt.from_file(tmp_path / "a.md").definition() == before


def test_a_folder_s_prompts_go_by_their_names_and_what_is_to_be_included_is_left_out(
    write: Any, tmp_path: Path
) -> None:
    write(b=FRONT + "{{ question }}", sub__a=FRONT + "{{ question }}", _c="x", _parts__d="x")

    found = prompts(tmp_path)

    assert list(found) == ["b", "a"]
    assert found["a"].file == tmp_path / "sub" / "a.md"


def test_two_prompts_of_one_name_in_a_folder_are_told(write: Any, tmp_path: Path) -> None:
    write(a=FRONT + "{{ question }}", sub__a=FRONT + "{{ question }}")

    with pytest.raises(BadPrompt, match="the prompt 'a' is in"):
        prompts(tmp_path)
    with pytest.raises(BadPrompt, match="There is no folder"):
        prompts(tmp_path / "none")


class Asked(BaseModel):
    """What support is asked."""

    question: str = Field(max_length=9)
    tone: Literal["formal", "casual"] = "formal"
    notes: list[str] = []
    about: str | None = None


def test_a_pydantic_class_says_what_variables_there_are() -> None:
    schema = Prompt("a", [("user", "x")], "r", variables=Asked).definition()["variables"]

    assert schema["required"] == ["question"]
    assert list(schema["properties"]) == ["question", "tone", "notes", "about"]
    assert schema["additionalProperties"] is False
    assert (schema["properties"]["notes"]["default"], schema["properties"]["about"]["default"]) == ([], None)


class Checked(BaseModel):
    question: str

    @field_validator("question")
    @classmethod
    def short(cls, value: str) -> str:
        return value


class Made(BaseModel):
    notes: list[str] = Field(default_factory=list)


def test_a_class_whose_code_no_version_could_hold_is_refused() -> None:
    with pytest.raises(BadPrompt, match="checked by code of Checked"):
        Prompt("a", [("user", "x")], "r", variables=Checked)
    with pytest.raises(BadPrompt, match="a default that only code can make"):
        Prompt("a", [("user", "x")], "r", variables=Made)
    with pytest.raises(BadPrompt, match="no Pydantic class"):
        Prompt("a", [("user", "x")], "r", variables=int)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("declared", "why"),
    [
        ("strr", "Did you mean 'str'?"),
        ({"type": "str", "defalt": "a"}, "Did you mean 'default'?"),
        ({"type": "str", "default": True}, "default of variable 'v'"),
        ({"type": "int", "default": True}, "default of variable 'v'"),
        ({"type": "list[int]", "default": ["a"]}, "default of variable 'v'"),
        ({"type": "str", "choices": [True, False]}, "quote yes, no"),
        ({"type": "str", "choices": ["a"], "default": "b"}, "default of variable 'v'"),
        ({"type": "int", "max_length": 3}, "max_length"),
        ({"type": "str", "max_length": 2, "default": "abc"}, "default of variable 'v'"),
    ],
)
def test_a_variable_that_means_nothing_is_refused(declared: Any, why: str) -> None:
    with pytest.raises(BadPrompt) as raised:
        Prompt("a", [("user", "x")], "r", variables={"v": declared})

    assert why in str(raised.value)


@pytest.mark.parametrize("name", ["_v", "a-b", "", "é"])
def test_a_variable_that_no_template_could_name_is_refused(name: str) -> None:
    with pytest.raises(BadPrompt, match="has a variable"):
        Prompt("a", [("user", "x")], "r", variables={name: str})


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ({"messages": []}, "no message"),
        ({"messages": "Answer {{ question }}"}, "Write each as (role, template)"),
        ({"messages": [{"role": "user", "content": "x"}]}, "Write each as (role, template)"),
        ({"messages": [("user", " \n")]}, "is empty"),
        ({"messages": [("usr", "x")]}, "Did you mean 'user'?"),
        ({"route": ""}, "names no route"),
        ({"params": {"messages": []}}, "not theirs to set"),
        ({"params": {"response_format": {}}}, "not theirs to set"),
    ],
)
def test_a_prompt_that_means_nothing_is_refused(members: dict[str, Any], why: str) -> None:
    with pytest.raises(BadPrompt) as raised:
        Prompt(**{"name": "a", "messages": [("user", "x")], "route": "r", **members})

    assert why in str(raised.value)


def test_the_order_of_an_output_s_members_makes_a_version_and_that_of_variables_does_not() -> None:
    def made(output: Any, **variables: Any) -> Any:
        return Prompt("a", [("user", "x")], "r", variables=variables, output=output).definition()

    one, other = {"properties": {"why": {}, "answer": {}}}, {"properties": {"answer": {}, "why": {}}}
    assert content_hash(made(one)) != content_hash(made(other))
    assert content_hash(made(None, a=str, b=str)["variables"]["properties"]) == content_hash(
        made(None, b=str, a=str)["variables"]["properties"]
    )
    assert list(json.loads(made(Asked)["output"])["properties"]) == ["question", "tone", "notes", "about"]

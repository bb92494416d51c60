"""Few-shot examples of a prompt, kept beside it as cases are: a file by reference, or cases made in code.

    examples: shots/refunds.jsonl#late,broken

An example's `inputs` are the variables of the prompt's one user message, or `{"messages": […]}` as they are to be sent; its `expected`
is what the assistant answers. A version holds them by content, so that another line in the file is another version. Suites are held
against them: a case that a prompt shows the answer of proves nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from perdure.assets.suite import Case
from perdure.assets.suite_cases import MESSAGES_SAID, said_by_user
from perdure.assets.suite_file import read_cases
from perdure.core.canonical import plain
from perdure.core.errors import BadPrompt, BadSuite, nearest

_TEMPLATE = ("{{", "{%", "{#")


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """One turn of the user's and one of the assistant's, that a prompt shows."""

    id: str
    inputs: Mapping[str, Any]
    answer: str
    place: str = ""
    """`shots.jsonl:3`; of no version."""

    def definition(self) -> dict[str, Any]:
        """What of it makes a version."""
        return {"id": self.id, "inputs": plain(self.inputs), "answer": self.answer}

    def texts(self) -> dict[str, Any]:
        """What it asks, by variable; what its user says under the name of none, where it is written as messages."""
        said = said_by_user(self.inputs)
        return dict(self.inputs) if said is None else {MESSAGES_SAID: said}


def read_examples(
    prompt: str, declared: str | Sequence[Case | str | Example], folder: Path | None
) -> tuple[Example, ...]:
    """The examples that a prompt declares, in their order.

    Args:
        prompt: its name, for errors.
        declared: `file.jsonl#id,id`, or several such, or cases; or what this gave, of a prompt that is made of another.
        folder: what paths are relative to; None: the module that declares, or a folder above it.

    Raises:
        BadPrompt: a file or an id that is not there, an example without an answer, or two of one id.
    """
    listed: Sequence[Case | str | Example] = (declared,) if isinstance(declared, str) else declared
    found: list[Example] = []
    try:
        for each in listed:
            if isinstance(each, Example):
                found.append(each)
            elif isinstance(each, str):
                found += _referred(prompt, each, folder)
            else:
                found.append(_example(prompt, each, f"the examples of prompt {prompt!r}"))
    except BadSuite as error:
        raise BadPrompt(f"The examples of prompt {prompt!r}: {error.message}", hint=error.hint) from error
    ids = [each.id for each in found]
    twice = [each for each in dict.fromkeys(ids) if ids.count(each) > 1]
    if twice:
        raise BadPrompt(f"Prompt {prompt!r} has the example {twice[0]!r} twice.", hint="Take one of them out.")
    return tuple(found)


def shown_by(definition: Mapping[str, Any]) -> list[Example]:
    """What a version of a prompt shows: its examples, and messages of the user's that an assistant's follows in it."""
    found = [Example(each["id"], each["inputs"], each["answer"], f"example {each['id']!r}")
             for each in definition.get("examples", ())]  # fmt: skip
    return [*found, *written_turns(definition["messages"])]


def written_turns(messages: Sequence[Mapping[str, str]]) -> Iterator[Example]:
    """The examples that are written into a prompt's messages; what varies is none."""
    for place, (first, second) in enumerate(pairwise(messages), 1):
        said = first["content"]
        if first["role"] == "user" and second["role"] == "assistant" and not any(each in said for each in _TEMPLATE):
            inputs = {"messages": [{"role": "user", "content": said}]}
            yield Example(f"message {place}", inputs, second["content"], f"message {place}")


def _referred(prompt: str, reference: str, folder: Path | None) -> Iterator[Example]:
    from perdure.assets.prompt_file import located

    path, hashed, ids = reference.partition("#")
    file = located(path) if folder is None else folder / path
    read = read_cases(file)
    known = {case.id: (case, place) for case, place in zip(read.cases, read.places, strict=True)}
    wanted = [each.strip() for each in ids.split(",")] if hashed else list(known)
    for each in wanted:
        if each not in known:
            near = nearest(each, known)
            raise BadPrompt(
                f"Prompt {prompt!r} shows the example {each!r}, which is not in {file.name}.",
                hint=f"Did you mean {near!r}?" if near else f"It has {', '.join(list(known)[:5])}.",
            )
        yield _example(prompt, *known[each])


def _example(prompt: str, case: object, place: str) -> Example:
    if not isinstance(case, Case):
        raise BadPrompt(f"Prompt {prompt!r} has {case!r} for an example.", hint='Write Case("late", {…}, "…").')
    if case.expected is None:
        raise BadPrompt(
            f"{place}: the example {case.id!r} of prompt {prompt!r} has no answer.", hint="Write it as `expected`."
        )
    [whole] = read_cases([case]).cases
    answer = case.expected
    told = answer if isinstance(answer, str) else json.dumps(plain(answer), ensure_ascii=False, separators=(",", ":"))
    return Example(whole.id, whole.inputs, told, place)

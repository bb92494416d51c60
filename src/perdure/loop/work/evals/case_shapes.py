"""What a drafted case's inputs are: which variable of a prompt holds its question, and which the passage it was made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from perdure.assets.prompt import Prompt
from perdure.assets.suite import Case
from perdure.assets.suite_cases import MESSAGES_SAID, said_by_user
from perdure.core.errors import BadSuite

_QUESTIONS = ("question", "query", "q", "message", "input", "text")
_PASSAGES = ("context", "contexts", "passage", "passages", "document", "documents", "source", "sources")


@dataclass(frozen=True, slots=True)
class CaseShape:
    """How a question becomes inputs."""

    question: str = ""
    """The variable; empty: a message of the user's."""
    passage: str = ""
    """The variable that is given what was retrieved; empty: none."""
    listed: bool = False
    """It takes a list of texts."""

    def inputs(self, question: str, passage: str) -> dict[str, Any]:
        """A case's inputs."""
        if not self.question:
            return {"messages": [{"role": "user", "content": question}]}
        found: dict[str, Any] = {self.question: question}
        if self.passage:
            found[self.passage] = [passage] if self.listed else passage
        return found

    def asked(self, inputs: Mapping[str, Any]) -> str:
        """The question of inputs that are there already; empty: they hold none."""
        said = said_by_user(inputs) if "messages" in inputs else inputs.get(self.question or "question")
        return said if isinstance(said, str) else ""


def shape_of(prompt: Prompt | None, question: str = "") -> CaseShape:
    """How questions become inputs of a suite's cases.

    Args:
        prompt: that the suite tests; None: its cases are messages.
        question: name of the variable that holds the question; empty: the one that is called so, else the only text.

    Raises:
        BadSuite: no such variable, several that it could be, or another one that a draft cannot fill.
    """
    if prompt is None:
        return CaseShape()
    schema = prompt.definition()["variables"]
    told: Mapping[str, Any] = schema["properties"]
    required = [name for name in told if name in schema.get("required", ())]
    texts = [name for name in told if told[name].get("type") == "string" and name not in _PASSAGES]
    needed = [name for name in texts if name in required] or texts
    named = next((name for name in _QUESTIONS if name in needed), "")
    chosen = question or named or (needed[0] if len(needed) == 1 else "")
    if chosen not in texts:
        raise BadSuite(
            f"Which variable of prompt {prompt.name!r} holds the question is not clear.",
            hint=f"Name one that is a text: {', '.join(texts) or 'it has none'}.",
        )
    passage = next((name for name in _PASSAGES if name in told and _takes_text(told[name])), "")
    unfilled = [name for name in required if name not in (chosen, passage)]
    if unfilled:
        raise BadSuite(
            f"No draft can fill the variable {unfilled[0]!r} of prompt {prompt.name!r}.", hint="Give it a default."
        )
    return CaseShape(chosen, passage, told.get(passage, {}).get("type") == "array")


def known_questions(shape: CaseShape, cases: Sequence[Case], prompt: Prompt | None) -> list[tuple[str, str]]:
    """The questions that cases and the examples of a prompt ask already, each with its answer."""
    found = [(shape.asked(each.inputs), each.expected) for each in cases]
    for example in () if prompt is None else prompt.shown:
        texts = example.texts()
        found.append((str(texts.get(shape.question) or texts.get(MESSAGES_SAID) or ""), example.answer))
    return [(question, "" if expected is None else str(expected)) for question, expected in found if question]


def _takes_text(schema: Mapping[str, Any]) -> bool:
    return bool(schema.get("type") == "string" or schema.get("items", {}).get("type") == "string")

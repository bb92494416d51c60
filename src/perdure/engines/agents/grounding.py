"""What a run's final answer may rest on: what its tools, nodes and runs below it gave, and what it was asked, as texts to look claims up in.

What a model of the run itself said supports nothing: neither the node of a graph that asked it, nor a node that passes it on.

JSON is told as sentences, a member at a time, because claims are looked up in sentences. Numbers are told with their roundings: an answer
that says 151 minutes rests on 151.36.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from perdure.core.runs import StepRecord
from perdure.engines.agents.nodes import said_in, value_of

MOST_SOURCES = 200
_MOST_CHARACTERS = 50_000
_LEAST = 12
"""Characters of a text that two do not say by chance."""
_PROMPT = "prompt:"


def answer_of(output: bytes) -> str:
    """The text of a run's output: `text`, else its members as sentences.

    >>> answer_of(b'{"text": "It opens at 9."}'), answer_of(b'{"gate": "B4", "minutes": 12}')
    ('It opens at 9.', 'gate: B4. minutes: 12.')
    """
    value = value_of(output)
    return said_in(value) or told(value)


def sources_of(steps: Sequence[StepRecord], asked: bytes) -> list[str]:
    """Texts that an answer may rest on: results of tools, nodes and runs below that came to an end, then the request."""
    gave = [step.output for step in _sources(steps) if step.state == "done" and not step.error and step.output]
    texts = [text for body in gave[:MOST_SOURCES] for text in _texts(value_of(body))]
    request = told(value_of(asked))
    return [*[each for each in texts if each][: MOST_SOURCES - 1], *([request] if request else [])]


def _sources(steps: Sequence[StepRecord]) -> list[StepRecord]:
    """Entries of what is no model's own word. Only what was said before a node can be what it passes on."""
    found: list[StepRecord] = []
    said: list[str] = []
    for step in steps:
        if step.kind == "chat":
            answer = value_of(step.output)
            said.append(said_in(answer) or told(answer))
        elif step.kind != "node" or not _is_said(step, said):
            found.append(step)
    return found


def _is_said(step: StepRecord, said: Sequence[str]) -> bool:
    """Whether a node gave what a model said: it asked a prompt, or it worked with nothing and gives nothing but words of an answer."""
    if any(each.startswith(_PROMPT) for each in step.versions):
        return True
    leaves = [] if step.versions else _leaves(value_of(step.output))
    words = any(_share(leaf, answer) for leaf in leaves for answer in said)
    return words or (bool(leaves) and any(all(leaf in answer for leaf in leaves) for answer in said))


def _share(leaf: str, answer: str) -> bool:
    """Whether one of two texts holds the other, and it is long enough to be somebody's words."""
    return min(len(leaf), len(answer)) >= _LEAST and (leaf in answer or answer in leaf)


def _leaves(value: Any) -> list[str]:
    """Texts and numbers in a value."""
    if isinstance(value, Mapping | list):
        return [text for each in (value.values() if isinstance(value, Mapping) else value) for text in _leaves(each)]
    return [] if value is None or isinstance(value, bool) or value == "" else [str(value)]


def _texts(value: Any) -> list[str]:
    """A list of things is a text each: what two hits say together supports nothing."""
    if isinstance(value, Mapping):
        lists = [each for each in value.values() if isinstance(each, list) and each and isinstance(each[0], Mapping)]
        if lists:
            rest = {name: each for name, each in value.items() if each not in lists}
            return [told(item) for each in lists for item in each] + [told(rest)]
    return [told(value)]


def told(value: Any, name: str = "") -> str:
    """A JSON value in sentences.

    >>> told({"flight": "UA 12", "delay": {"minutes": 151.36}})
    'flight: UA 12. delay minutes: 151.36 (151, 151.4).'
    """
    if value is None or value == "":
        return ""
    if isinstance(value, Mapping):
        parts = [told(each, f"{name} {key}".strip().replace("_", " ")) for key, each in value.items()]
        return " ".join(each for each in parts if each)[:_MOST_CHARACTERS]
    if isinstance(value, list):
        return " ".join(each for each in (told(one, name) for one in value) if each)[:_MOST_CHARACTERS]
    text = _number(value) if isinstance(value, float) else str(value)
    ends = "" if text.endswith((".", "!", "?")) else "."
    return f"{name}: {text}{ends}" if name and name not in ("text", "content") else f"{text}{ends}"


def _number(value: float) -> str:
    shorter = list(dict.fromkeys(f"{value:.{digits}f}" for digits in range(3)))
    others = [each for each in shorter if each != str(value)]
    return f"{value} ({', '.join(others[:2])})" if others else str(value)

"""Questions of a run to a person: may this be done, and did that happen. Their ids follow from the call, so none is asked twice."""

from __future__ import annotations

import json

from perdure.assets.tools import ToolTerms
from perdure.core.canonical import content_hash
from perdure.core.clock import machine_us
from perdure.core.runs import RunRecord, Wait
from perdure.serve.runs.protocols import Json, ToolAsked

_MOST_TEXT = 2000
"""Characters of one argument that a person reads; the whole stands in `Wait.arguments`."""


def approval(run: RunRecord, asked: ToolAsked, terms: ToolTerms, expires_us: int) -> Wait:
    """May this call be made? `expires_us` from now on; 0: it waits for ever."""
    now_us = machine_us()
    return Wait(
        id=_id(run, asked.call, "approve"),
        run=run.id,
        asset=run.asset,
        call=asked.call,
        tool=asked.name,
        question="approve",
        text=f"{run.asset} asks to call {asked.name}:{_told(asked.arguments)}",
        arguments=json_of(asked.arguments),
        role=terms.approve_by or "",
        asked_us=now_us,
        expires_us=now_us + expires_us if expires_us else 0,
    )


def happened_question(run: RunRecord, asked: ToolAsked, terms: ToolTerms, number: int) -> Wait:
    """Did the effect of this call happen, when it was begun for the `number`-th time? It never expires: silence says nothing of it."""
    return Wait(
        id=_id(run, asked.call, f"happened {number}"),
        run=run.id,
        asset=run.asset,
        call=asked.call,
        tool=asked.name,
        question="happened",
        text=(
            f"{run.asset} began to call {asked.name}, and it is not known whether it happened. "
            f"Yes: it did, and is not done again. No: it did not, and is done now.{_told(asked.arguments)}"
        ),
        arguments=json_of(asked.arguments),
        role=terms.approve_by or "",
        asked_us=machine_us(),
    )


def _id(run: RunRecord, call: str, question: str) -> str:
    return f"wait_{content_hash([run.id, call, question])[:24]}"


def _told(arguments: Json) -> str:
    r"""Arguments as a person reads them: none can look like another one, move the cursor or hide a part of itself.

    >>> print(_told({"text": "Hello\n  to: ann@example.org", "to": "eve\u202e"}))
    <BLANKLINE>
      text: Hello
      |   to: ann@example.org
      to: eve\u202e
    """
    lines = []
    for name, value in arguments.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
        hidden = len(text) - _MOST_TEXT
        shown = text if hidden <= 0 else f"{text[:_MOST_TEXT]} … ({hidden:,} characters more)"
        lines.append(f"\n  {plain(name)}: {plain(shown)}")
    return "".join(lines)


def plain(text: str) -> str:
    """A text in which every line but the first is marked as one, and what cannot be seen is spelt out."""
    lines = text.replace("\t", "    ").split("\n")
    return "\n  | ".join("".join(each if each.isprintable() else _spelt(each) for each in line) for line in lines)


def _spelt(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")


def json_of(arguments: Json) -> bytes:
    """Arguments as they are kept."""
    return json.dumps(arguments, ensure_ascii=False, separators=(",", ":"), default=str).encode(errors="replace")

"""What comes back of a question to a judge: an opinion, or why there is none. Never a score from what does not parse."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from perdure.core.ports import Answered
from perdure.engines.judges.asking import Question
from perdure.engines.judges.protocols import Opinion, Said
from perdure.engines.judges.scales import value_of

_FENCED = re.compile(r"^```[a-z]*\s*\n(.*?)\n?```$", re.DOTALL)
_REFUSED = re.compile(
    r"^\W*(?:i(?:.m| am)? (?:very )?(?:sorry|unable|not able)|i (?:can(?:.?t|not)|won.?t|must decline)|as an ai\b)",
    re.IGNORECASE,
)
_LONGEST_REASON = 500


def opinion_of(question: Question, answered: Answered) -> Opinion:
    """What the judge said.

    Where the verdict alone is asked for, the whole text must be it: the object with this one member, or the bare word. No word
    is ever picked out of a sentence.

    A text that is no such JSON object is `unparsed`, or `obeyed` where the judged texts hold orders: then it is these that
    were followed in place of the form. An answer of another model than the pinned one is `failed`.
    """
    said, value, word, reason = _read(question, answered)
    if value is not None and question.order == "swapped":
        value = 1.0 - value
    return Opinion(said, value, word, reason, question.order, question.repeat, question.asked.route)


def _read(question: Question, answered: Answered) -> tuple[Said, float | None, str, str]:
    if answered.error:
        return "failed", None, "", answered.error
    if question.model and answered.model != question.model:
        return "failed", None, "", f"{answered.model or 'an unknown model'} answered in place of {question.model}"
    text = answered.text.strip()
    if answered.message.get("refusal") or answered.finish == "content_filter" or _REFUSED.match(text):
        return "refused", None, "", ""
    given = _object(text) if question.nonce else _verdict_alone(text)
    value = value_of(given.get("verdict"), question.words) if given.get("nonce", "") == question.nonce else None
    if value is None:
        return ("obeyed" if question.ordered else "unparsed"), None, "", ""
    word = question.words[round(value * (len(question.words) - 1))]
    return "given", value, word, str(given.get("reason", ""))[:_LONGEST_REASON]


def _verdict_alone(text: str) -> dict[str, Any]:
    """The object, or the bare word as one; empty where there is anything else."""
    given = _object(text)
    if given:
        return given if set(given) == {"verdict"} else {}
    return {"verdict": text.strip("\"'`*. ")}


def _object(text: str) -> dict[str, Any]:
    """The one JSON object that a text is, in a code fence or not; empty where it is none."""
    fenced = _FENCED.match(text)
    try:
        found = msgspec.json.decode(fenced[1] if fenced else text)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):  # broken, nested without end, half a character
        return {}
    return found if isinstance(found, dict) else {}

"""Reviewed cases that become cases of a suite: a line more in its JSONL file, with where it came from; never one twice."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from perdure.assets.prompt import Prompt
from perdure.assets.suite import Suite
from perdure.assets.suite_file import cases_file, read_cases
from perdure.core.canonical import plain
from perdure.core.errors import BadPrompt, BadSuite, DeclarationError, NotFound
from perdure.engines.prompts.variables import Variables
from perdure.loop.protocols import Workplace
from perdure.loop.work.judges.labels import find_case, find_draft
from perdure.loop.work.judges.queue import SYNTHETIC
from perdure.stores.ledger.protocols import Review

_ORIGIN = {"feedback": "feedback", "incident": "incident", SYNTHETIC: SYNTHETIC}
_PLACE = ("file", "start", "end", "model")


@dataclass(frozen=True, slots=True)
class Accepted:
    """A case that stands in a suite now."""

    review: str
    suite: str
    file: str
    case: str
    """Its id in the suite."""
    added: bool
    """Whether a line was written; False: it stood there already."""


def accept(
    place: Workplace, suite: Suite, review_id: str, expected: Any, now: datetime, prompt: Prompt | None = None
) -> Accepted:
    """Take a review's case into a suite's file and end the review.

    Args:
        place: the queue.
        suite: whose file grows.
        review_id: which.
        expected: what a good answer is; None: what the case has, else nothing.
        now: domain time.
        prompt: that the suite tests, if any.

    Raises:
        NotFound: no such review, or its case was forgotten.
        BadSuite: the suite's cases are no JSONL file, or cannot be read; or the case's inputs are not the prompt's variables.
        DeclarationError: nobody labelled it yet.
    """
    with place.stores.ledger.read() as session:
        review = session.reviews.get(review_id)
    case = find_case(place, review.case)
    if case is None:
        raise NotFound(f"The case of review {review_id!r} was forgotten.", hint="Drop the review.")
    if not review.labels:
        raise DeclarationError(f"Nobody labelled review {review_id!r}.", hint=f"perdure review label {review_id} WORD")
    path = suite_file(suite)
    if prompt is not None:
        _check_inputs(case.inputs, prompt, path)
    known = read_cases(path).cases if path.exists() and path.stat().st_size else ()
    row = {"inputs": plain(case.inputs), "expected": case.expected if expected is None else expected}
    row = {name: value for name, value in row.items() if value is not None}
    same = next((each for each in known if _same(each, row)), None)
    made = same.id if same is not None else review.id
    if same is None:
        tags = [SYNTHETIC, "reviewed"] if review.why == SYNTHETIC else ["reviewed"]
        retrieved = _retrieved(place, review)
        append_line(path, {"id": made, **row, **retrieved, "tags": tags, "provenance": _provenance(review)})
    with place.transaction(now, f"accepted into suite {suite.name}") as session:
        session.reviews.close(review_id, "accepted")
    return Accepted(review.id, suite.name, path.name, made, same is None)


def suite_file(suite: Suite) -> Path:
    """The JSONL file that a suite grows by; it needs not be there yet.

    Raises:
        BadSuite: its cases are elsewhere.
    """
    if isinstance(suite.cases, str | Path):
        named = Path(suite.cases)
        file = cases_file(named) if named.exists() else named
        if file.suffix == ".jsonl":
            return file
    raise BadSuite(
        f"The cases of suite {suite.name!r} are no JSONL file, so that none can be added.",
        hint='Keep them in one: Suite(…, "suites/refunds.jsonl", …), or in YAML cases: refunds.jsonl',
    )


def _check_inputs(inputs: Mapping[str, Any], prompt: Prompt, path: Path) -> None:
    """Of a call the messages are kept as they were rendered: what the variables were cannot be told from them."""
    try:
        Variables(prompt.name, prompt.definition()["variables"]).checked(inputs)
    except BadPrompt as error:
        raise BadSuite(
            f"The case's inputs ({', '.join(sorted(inputs))}) are not the variables of prompt {prompt.name!r}: {error.message}",
            hint=f"Write the case into {path.name} by hand, with its variables; of a call only rendered messages are kept.",
        ) from error


def _same(known: Any, row: Mapping[str, Any]) -> bool:
    """Of the same question: what is expected may have been bettered by hand since."""
    return bool(plain(dict(known.inputs)) == row["inputs"])


def _provenance(review: Review) -> dict[str, Any]:
    labels = [{"labeller": label.labeller, "value": label.value} for label in review.labels]
    where = {name: review.facts[name] for name in _PLACE if name in review.facts} if review.why == SYNTHETIC else {}
    return {"from": _ORIGIN.get(review.why, "production"), **where, "review": review.id, "labels": labels}


def _retrieved(place: Workplace, review: Review) -> dict[str, Any]:
    """Of a case that was made of a corpus: its passage, and what it belongs to."""
    found = find_draft(place, review.case) if review.why == SYNTHETIC else None
    return {} if found is None else {"contexts": found.contexts, "cluster": found.cluster}


def append_line(path: Path, row: Mapping[str, Any]) -> None:
    """One line, whole or not at all: a half-written last line of somebody else's is ended first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    line = msgspec.json.encode(row) + b"\n"
    with path.open("ab+") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            line = line if file.read(1) == b"\n" else b"\n" + line
        file.write(line)
        file.flush()
        os.fsync(file.fileno())

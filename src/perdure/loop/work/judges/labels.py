"""What people say: a judge's anchor set, and the reviews of it that they labelled since. Everything that measures a judge reads here.

A reviewed case that was drawn counts as one of the anchor set: the newest labels say most of what is judged today. One that was
chosen (a dispute, an incident, by hand) does not, for it was chosen since the judge errs there; its label counts only where
the case is in the set anyway.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from perdure.assets.judge import Judge
from perdure.core.errors import BadJudge, Corrupt, NotFound
from perdure.core.ids import Digest
from perdure.engines.judges.anchors import Judgeable, Labelled, Said, merged, read_anchor
from perdure.loop.protocols import Watched, Workplace
from perdure.stores.ledger.protocols import Review

MOST = 400
"""Cases of which a judge is asked at a time: the anchor set's first, then the newest reviews."""


class Case(msgspec.Struct, frozen=True):
    """A case as its blob holds it."""

    inputs: dict[str, Any]
    answers: list[str]
    expected: Any = None
    cluster: str = ""

    def judgeable(self) -> Judgeable:
        """As a judge is shown it."""
        return Judgeable.of(self.inputs, self.answers, self.expected, self.cluster)


class DraftCase(Case, frozen=True):
    """A case that was made of a corpus: with what it was made of, which a suite's case keeps as retrieved."""

    contexts: list[str] = []


@dataclass(frozen=True, slots=True)
class Reviewed:
    """A review with its case; None where the case was forgotten."""

    review: Review
    case: Judgeable | None


def judge_of(asset: Watched) -> Judge:
    """The declared judge."""
    judge: Judge = asset.declaration
    return judge


def read_labelled(place: Workplace, judge: Judge, now: datetime) -> list[Labelled]:
    """Every case that people labelled up to an instant: of the anchor file, and of the reviews of the judge that were drawn.

    What figures rest on: a label of a chosen review counts on a case of these, and brings in none.

    Raises:
        BadJudge: the file is not there, or a line of it is wrong.
    """
    anchored = read_file(judge)
    drawn: list[Labelled] = []
    chosen: list[Labelled] = []
    for each in reviewed(place, judge.name, now):
        said = tuple(Said(label.labeller, label.value) for label in each.review.labels if label.at <= now)
        if said and each.case is not None and _fits(each.case, judge):
            (drawn if each.review.inclusion is not None else chosen).append(
                Labelled(each.case, said, each.review.inclusion)
            )
    newest = drawn[-(MOST - len(anchored)) :] if len(anchored) < MOST else []
    counted = [*anchored[:MOST], *newest]
    known = {each.case.id for each in counted}
    return merged([*counted, *(each for each in chosen if each.case.id in known)])


def _fits(case: Judgeable, judge: Judge) -> bool:
    return len(case.answers) == (2 if judge.form == "pairwise" else 1)


def read_file(judge: Judge) -> list[Labelled]:
    """The anchor set's file; nothing where none is declared."""
    if judge.anchor is None:
        return []
    path = Path(judge.anchor)
    try:
        changed = path.stat().st_mtime_ns
    except OSError as error:
        raise BadJudge(
            f"The anchor {path.name!r} of judge {judge.name!r} cannot be read: {error.strerror}.",
            hint="Give a JSONL file of inputs, answer, label and labeller.",
        ) from error
    return list(_read(path, changed, judge.name, msgspec.json.encode(judge.definition())))


@lru_cache(maxsize=32)
def _read(path: Path, changed: int, judge: str, definition: bytes) -> tuple[Labelled, ...]:  # noqa: ARG001 - another instant or judge, another reading
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise BadJudge(f"The anchor {path.name!r} is not UTF-8.", hint="Save it as UTF-8.") from error
    return tuple(read_anchor(text, msgspec.json.decode(definition), where=path.name))


def reviewed(place: Workplace, subject: str, now: datetime) -> list[Reviewed]:
    """The reviews of a judge or suite that were asked up to an instant, with their cases, in their order."""
    with place.stores.ledger.read() as session:
        found = [each for each in session.reviews.list(subject=subject) if each.asked_at <= now]
    return [Reviewed(each, find_case(place, each.case)) for each in found]


def find_case(place: Workplace, digest: str) -> Judgeable | None:
    """The case of a blob; None where it was forgotten."""
    try:
        return msgspec.json.decode(place.stores.blobs.get(Digest(digest)), type=Case).judgeable()
    except (NotFound, Corrupt, msgspec.DecodeError):
        return None


def put_case(place: Workplace, case: Judgeable) -> Digest:
    """The digest of a case's blob, which is made where there is none."""
    kept = Case(dict(case.inputs), list(case.answers), case.expected, case.cluster)
    return place.stores.blobs.put(msgspec.json.encode(kept, order="sorted"))


def put_draft(
    place: Workplace, inputs: Mapping[str, Any], expected: Any, contexts: Sequence[str], cluster: str
) -> Digest:
    """The digest of a drafted case's blob, which is made where there is none; `find_case` reads it too."""
    kept = DraftCase(dict(inputs), [], expected, cluster, list(contexts))
    return place.stores.blobs.put(msgspec.json.encode(kept, order="sorted"))


def find_draft(place: Workplace, digest: str) -> DraftCase | None:
    """The drafted case of a blob; None where it was forgotten."""
    try:
        return msgspec.json.decode(place.stores.blobs.get(Digest(digest)), type=DraftCase)
    except (NotFound, Corrupt, msgspec.DecodeError):
        return None


def newest_label(place: Workplace, subject: str, now: datetime) -> datetime | None:
    """When a person last said something of a judge's cases; None: never."""
    with place.stores.ledger.read() as session:
        found = session.reviews.list(subject=subject)
    return max((label.at for each in found for label in each.labels if label.at <= now), default=None)

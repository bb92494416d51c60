"""Cases of production for the review queue: calls whose texts were kept, judged and drawn; and labels that came as feedback.

What surprised us: a kept text may be masked by the route's policy. It is judged and labelled as it was kept; so one that holds
masks says what a masked answer is worth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import msgspec
import polars as pl

from perdure.assets.judge import Judge
from perdure.assets.version import CHALLENGER, CHAMPION, Version
from perdure.core.errors import NotFound
from perdure.engines.judges.anchors import Judgeable
from perdure.loop.protocols import Workplace
from perdure.loop.work.calls import read_calls, read_feedback
from perdure.loop.work.guards.estimates import sampled_with
from perdure.loop.work.judges.asking import judge_cases
from perdure.loop.work.judges.labels import put_case
from perdure.loop.work.judges.queue import draw, review_of
from perdure.stores.ledger.protocols import Review, ReviewLabel

FEEDBACK = "review:"
"""Feedback of this name and a subject's is a label of a review."""
MOST_CALLS = 500
"""Calls that a judge is asked about at a time, the newest."""
LATE = timedelta(days=30)
"""Feedback that comes later than this after its call is not found any more."""
_COLUMNS = ("outcome", "arm", "endpoint", "request", "answer")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which calls are judged, and about how many of them people are asked."""

    route: str
    over: timedelta
    n_labels: float


def draw_calls(place: Workplace, judge: Judge, version: Version, wanted: Wanted, now: datetime) -> list[Review]:
    """Judge the newest calls of a route whose texts were kept, and draw about so many of them for people.

    Raises:
        NotFound: no call of the window was answered and has its texts.
        NotReady: nobody can be asked.
    """
    cases = [case for _, case in read_cases(place, wanted.route, now - wanted.over, now)][-MOST_CALLS:]
    if not cases:
        raise NotFound(
            f"No call of route {wanted.route!r} in that time was answered and has its texts.",
            hint='Answer calls first; a route keeps their texts unless it says bodies="none".',
        )
    found = judge_cases(place, version.definition, cases, {"judge": judge.name, "version": version.id})
    unique = {case.id: case for case in cases}
    return draw(place, judge, version, [(case, found[case.id]) for case in unique.values()], wanted.n_labels, now)


def read_cases(place: Workplace, route: str | None, start: datetime, end: datetime) -> list[tuple[str, Judgeable]]:
    """Call id and case of every answered call whose texts were kept, by time."""
    rows = read_calls(place.stores.lake, route, start, end, _COLUMNS)
    kept = rows.filter(
        (pl.col("outcome") == "answered")
        & pl.col("arm").is_in([CHAMPION, CHALLENGER])
        & (pl.col("request").fill_null("") != "")
        & (pl.col("answer").fill_null("") != "")
    )
    found = []
    for call, request, answer in kept.select("call_id", "request", "answer").iter_rows():
        case = _case(request, answer)
        if case is not None:
            found.append((str(call), case))
    return found


def _case(request: str, answer: str) -> Judgeable | None:
    try:
        messages, message = msgspec.json.decode(request), msgspec.json.decode(answer)
    except msgspec.DecodeError:
        return None
    text = _text(message)
    return Judgeable.of({"messages": messages}, [text]) if text else None


def _text(message: Any) -> str:
    if isinstance(message, list):
        message = next(iter(message), None)  # the gateway keeps every choice; the first is what a client reads
    content = message.get("content") if isinstance(message, Mapping) else None
    if isinstance(content, str):
        return content
    parts: Sequence[Any] = content if isinstance(content, list) else ()
    return "".join(str(part.get("text", "")) for part in parts if isinstance(part, Mapping))


def import_feedback(place: Workplace, subject: str, since: datetime, now: datetime) -> list[Review]:
    """Labels that came by `POST /v1/feedback` under `review:<subject>`, as reviews of their calls; again the same.

    The value is the label, 0 to 1, and the key who labelled; a text `sampled:0.05` says with which probability the call was drawn,
    and without one no estimate rests on it. What is not from 0 to 1, or of a call without texts, is left out.
    """
    said = read_feedback(place.stores.lake, f"{FEEDBACK}{subject}", since, None)
    said = said.filter((pl.col("received_at") <= now) & pl.col("value").is_between(0.0, 1.0))
    cases = dict(read_cases(place, None, since - LATE, now))
    asked: dict[str, Review] = {}
    labels = []
    for call, at, key, value, text in said.select("call_id", "received_at", "key", "value", "text").iter_rows():
        if call not in cases:
            continue
        review = review_of(subject, f"call:{call}", put_case(place, cases[call]), "feedback", at)
        chance = sampled_with(text)
        asked.setdefault(call, replace(review, inclusion=chance))
        note = "" if chance is not None else text or ""
        labels.append((call, ReviewLabel(review.id, key, value, at, note=note, source="feedback")))
    with place.transaction(now, "labels of feedback") as session:
        known = {each.key: each for each in session.reviews.ask(list(asked.values()))}
        wanted = [label for call, label in labels if _open(known[f"call:{call}"], label)]
        return session.reviews.label(wanted)


def _open(review: Review, label: ReviewLabel) -> bool:
    return review.status == "open" or label in review.labels

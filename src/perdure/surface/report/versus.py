"""The page of an eval: two versions side by side, case by case, in one file that asks nothing of the network.

The summary is in the page as it stands; cases are data that its script shows twenty at a time, so that thousands stay quick. What
models wrote is hostile: it stands in the page as JSON without any `<`, and the script only ever makes text nodes of it.

What surprised us: spans count characters and a browser counts UTF-16 units, so one emoji before a span moves it by one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jinja2
import msgspec

from perdure.core.stats.intervals import Interval
from perdure.surface.eval_told import (
    AnswerTold,
    CaseTold,
    EvalTold,
    difference_text,
    interval_text,
    points,
    share,
    share_of,
    visible,
)
from perdure.surface.report.forest import Forest, Row, forest
from perdure.surface.words import counted, money

_LONE = re.compile("[\ud800-\udfff]")
_MARKUP = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026", 0x2028: "\\u2028", 0x2029: "\\u2029"}


def write_versus(told: EvalTold, path: Path) -> None:
    """Write the page to `path`: self-contained, one file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(versus_page(told), "utf-8")


def versus_page(told: EvalTold) -> str:
    """The page as HTML.

    Cost: some 3 MB and 0.2 s for 2,000 cases of two answers of 500 characters.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("perdure.surface.report", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"visible": visible}
    return environment.get_template("versus.html").render(
        told=told,
        two=len(told.sides) > 1,
        data=_json(told),
        scores=forest(Forest("Scores with their 95% intervals", _scores(told), share)),
        changes=forest(_changes(told)) if len(told.sides) > 1 else "",
        tags=sorted({visible(tag) for case in told.cases for tag in case.tags}),
        n_disagreements=sum(bool(case.disagreement) for case in told.cases),
        n_failed=sum(case.failed for case in told.cases),
        difference_text=difference_text,
        interval_text=interval_text,
        share_of=share_of,
        money=money,
        counted=counted,
    )


def _scores(told: EvalTold) -> list[Row]:
    rows = [Row("all", side.score, at) for at, side in enumerate(told.sides) if side.score]
    for scorer in told.scorers:
        used: Iterable[Interval | None] = scorer.corrected or scorer.raw
        rows += [Row(scorer.label, found, at) for at, found in enumerate(used) if found]
    return rows


def _changes(told: EvalTold) -> Forest:
    rows = [Row("all", told.difference, 1)] if told.difference else []
    rows += [Row(each.label, each.difference, 1) for each in told.scorers if each.difference]
    title = f"Differences with their 95% intervals, in points; within {points(told.margin).lstrip('+')} counts as none"
    return Forest(title, rows, points, zero=True, margin=told.margin)


def _json(told: EvalTold) -> str:
    """Cases as the script reads them: JSON that neither ends its element nor opens another."""
    labels = {each.label: at for at, each in enumerate(told.scorers)}
    for part in (part for case in told.cases for side in case.answers for each in side for part in each.scores):
        labels.setdefault(part.label, len(labels))
    found = {
        "sides": [_whole(side.subject) for side in told.sides],
        "labels": [_whole(label) for label in labels],
        "tolerance": told.margin,
        "cases": [_case(case, labels) for case in told.cases],
    }
    return msgspec.json.encode(found).decode().translate(_MARKUP)


def _case(case: CaseTold, labels: dict[str, int]) -> dict[str, Any]:
    return {
        "id": _whole(case.id),
        "question": _whole(case.question),
        "expected": _whole(case.expected),
        "contexts": [_whole(each) for each in case.contexts],
        "tags": [visible(each) for each in case.tags],
        "cluster": _whole(case.cluster),
        "flip": case.flip,
        "change": case.change,
        "disagreement": _whole(case.disagreement),
        "failed": case.failed,
        "answers": [[_answer(each, labels) for each in side] for side in case.answers],
    }


def _answer(answer: AnswerTold, labels: dict[str, int]) -> dict[str, Any]:
    return {
        "text": _whole(answer.text),
        "sample": answer.sample,
        "score": answer.score,
        "scores": [[labels[each.label], each.value, each.outcome, _whole(each.why)] for each in answer.scores],
        "spans": [list(each) for each in units(answer.text, answer.spans)],
        "error": _whole(answer.error),
        "cost": money(answer.cost_usd),
        "ms": round(answer.latency_ms, 1),
        "cached": answer.cached,
    }


def _whole(text: str) -> str:
    """Text that UTF-8 can hold: half a pair is none."""
    return _LONE.sub("\ufffd", text)


def units(text: str, spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans in characters as spans in UTF-16 units, in order and within the text.

    >>> units("🙂 is false", [(2, 10)])
    [(3, 11)]
    """
    found = sorted((max(begin, 0), min(end, len(text))) for begin, end in spans)
    if text.isascii():
        return [each for each in found if each[0] < each[1]]
    return [(_units(text, begin), _units(text, end)) for begin, end in found if begin < end]


def _units(text: str, at: int) -> int:
    return at + sum(char > "\uffff" for char in text[:at])

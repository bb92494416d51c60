"""`/language/reviews`: the case whose label is worth most, and one click for each word that may be said of it; then the next one comes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from shlex import quote
from typing import Any

import msgspec

from perdure.surface.console.asking import address, text, whole
from perdure.surface.console.language.cells import OVERVIEW, page_of
from perdure.surface.console.records import Asked, Cell, Done, Table, View
from perdure.surface.reviews import ReviewShown
from perdure.surface.words import counted, words

_WHY = {
    "incident": "an incident of what it tests",
    "flip": "two versions differ at it",
    "outdated": "a text that it rests on changed",
    "disputed": "a judge and other scorers say opposite things",
    "drawn": "drawn by chance, the likelier the judge errs",
    "feedback": "somebody said something of it",
    "by_hand": "somebody put it here",
    "synthetic": "a model wrote it",
    "searched": "somebody searched, and this may be what answers",
}


@dataclass(frozen=True, slots=True)
class Text:
    """One text of a case."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Case:
    """What is to be labelled."""

    id: str
    subject: str
    subject_page: str
    why: str
    asked_at: datetime
    rubric: str
    words: tuple[str, ...]
    inputs: tuple[Text, ...]
    answers: tuple[Text, ...]
    expected: str
    forgotten: bool
    said: Table


@dataclass(frozen=True, slots=True)
class ReviewsPage:
    """The whole page."""

    subject: str
    n_open: int
    case: Case | None
    deed: str
    skip: str
    """Address of the case after this one."""
    may_label: bool
    subjects: Table


def view(asked: Asked) -> View:
    """The page."""
    subject, skipped = text(asked.query, "subject", most=200), whole(asked.query, "skip", 0, most=10_000)
    with asked.project.place.stores.ledger.read() as session:
        n_open = Counter(each.subject for each in session.reviews.list(status="open"))
    found = asked.project.next_reviews(subject, skipped + 1, by=asked.person.name)
    shown = found[-1] if found else None
    data = ReviewsPage(
        subject=subject,
        n_open=n_open[subject] if subject else sum(n_open.values()),
        case=None if shown is None else _case(asked, shown),
        deed="" if shown is None else address("/reviews", shown.id) + "/label",
        skip=address("/language/reviews", subject=subject, skip=skipped + 1) if len(found) > skipped else "",
        may_label=asked.person.may("label"),
        subjects=_subjects(asked, n_open),
    )
    cli = f"perdure review next {quote(subject)}" if subject else "perdure review next"
    return View("Reviews", data, (OVERVIEW,), cli)


def label(asked: Asked) -> Done:
    """`/reviews/{id}/label`.

    Raises:
        NotFound: no such review.
        DeclarationError: no such word.
        Refused: the review is over.
    """
    said = asked.project.label_review(
        asked.path["id"],
        text(asked.form, "label", most=100),
        note=text(asked.form, "note", most=2_000),
        at=asked.now,
    )
    subject = text(asked.form, "subject", most=200)
    mine = next(each for each in said.labels if each.labeller == asked.project.actor)
    with asked.project.place.stores.ledger.read() as session:
        left = session.reviews.list(subject=subject or None, status="open")
    n_left = sum(all(each.labeller != asked.project.actor for each in one.labels) for one in left)
    then = f"{counted(n_left, 'case')} left." if n_left else "That was the last."
    return Done(f"Kept: {mine.word or mine.value}. {then}", address("/language/reviews", subject=subject), said)


def _case(asked: Asked, shown: ReviewShown) -> Case:
    case = shown.case or {}
    said = Table(
        ("Who", "Said", "When", "Note"),
        [(each.labeller, each.word or f"{each.value:g}", Cell("", at=each.at), each.note) for each in shown.labels],
        "What others said",
        empty="Nobody said anything of it yet.",
    )
    return Case(
        id=shown.id,
        subject=shown.subject,
        subject_page=_page(asked, shown.subject),
        why=_WHY.get(shown.why, words(shown.why)),
        asked_at=shown.asked_at,
        rubric=shown.rubric,
        words=tuple(shown.words),
        inputs=tuple(Text(name, _text(value)) for name, value in (case.get("inputs") or {}).items()),
        answers=tuple(Text(f"Answer {n}", _text(each)) for n, each in enumerate(case.get("answers") or (), 1)),
        expected=_text(case.get("expected")),
        forgotten=shown.case is None,
        said=said,
    )


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.format(msgspec.json.encode(value)).decode()


def _page(asked: Asked, subject: str) -> str:
    project = asked.project.project
    kind = "judge" if subject in project.judges else "index" if subject in project.indexes else "suite"
    return page_of(kind, subject)


def _subjects(asked: Asked, n_open: Counter[str]) -> Table:
    rows = [
        (Cell(name, address("/language/reviews", subject=name)), f"{n:,}", Cell("its page", _page(asked, name)))
        for name, n in n_open.most_common(200)
    ]
    return Table(
        ("Asked about", "Open", "What it is"),
        rows,
        "Open reviews by judge, suite or index",
        numeric=frozenset({1}),
        empty="Nobody is asked: perdure review draw JUDGE ROUTE asks people about the newest calls; perdure review ask SUITE about a run.",
    )

"""`/language/evals/{run}/cases`: a run case by case, with what was asked and said; filtered, twenty at a time.

Spans that no context supports are marked, and what one version says otherwise than the other is shown word by word.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from perdure.surface.console.asking import address, one_of, text, whole
from perdure.surface.console.language.cells import ms, usd
from perdure.surface.console.language.eval_read import crumbs_of, page_of_run, read_eval
from perdure.surface.console.language.eval_run import FLIPS, TONES
from perdure.surface.console.records import Asked, Tone, View
from perdure.surface.eval_told import AnswerTold, CaseTold, EvalTold, points, score_of, share

_PAGE = 20
_WORDS = 600
"""Words of an answer that are compared; longer ones are shown beside each other alone."""
_WORDS_SHOWN, _BEGINNING = 160, 80
"""Characters of a case in its line, and of one of its inputs."""
ORDERS = ("loss", "gain", "suite")
How = Literal["same", "gone", "new", "unsupported"]


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of text."""

    text: str
    how: How


@dataclass(frozen=True, slots=True)
class Scored:
    """What one scorer said."""

    label: str
    score: str
    why: str


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer."""

    sample: int
    score: str
    pieces: tuple[Piece, ...]
    scores: tuple[Scored, ...]
    error: str
    cost: str
    took: str
    known: bool


@dataclass(frozen=True, slots=True)
class Side:
    """What one version answered."""

    subject: str
    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class Text:
    """One of the variables that a case gives; without a name where the question is a text."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Case:
    """One case with the answers of each version."""

    id: str
    flip: str
    tone: Tone
    change: str
    asked: str
    """First words of each input, the shortest input first."""
    inputs: tuple[Text, ...]
    expected: str
    contexts: tuple[str, ...]
    tags: tuple[str, ...]
    disagreement: str
    sides: tuple[Side, ...]
    difference: tuple[Piece, ...]
    """The second version's answer against the first's, word by word; empty where there is one version, or many samples."""


@dataclass(frozen=True, slots=True)
class Filters:
    """What was asked for, and what may be."""

    flip: str
    scorer: str
    tag: str
    q: str
    order: str
    failed: bool
    disagreement: bool
    flips: tuple[str, ...]
    scorers: tuple[str, ...]
    tags: tuple[str, ...]
    orders: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CasesPage:
    """The whole page."""

    suite: str
    run: str
    figures: str
    filters: Filters
    n: int
    first: int
    cases: tuple[Case, ...]
    more: str


def view(asked: Asked) -> View:
    """The page."""
    told = read_eval(asked)
    filters = _filters(asked, told)
    only, after = text(asked.query, "case", most=2_000), whole(asked.query, "after", 0, most=1_000_000)
    found = [each for each in told.cases if (each.id == only if only else _fits(each, filters))]
    ordered = found if filters.order == "suite" else sorted(found, key=lambda each: _loss(each, filters))
    here = page_of_run(told) + "/cases"
    more = address(
        here,
        flip=filters.flip,
        scorer=filters.scorer,
        tag=filters.tag,
        q=filters.q,
        order=filters.order,
        failed="yes" if filters.failed else "",
        disagreement="yes" if filters.disagreement else "",
        after=after + _PAGE,
    )
    subjects = [each.subject for each in told.sides]
    data = CasesPage(
        suite=told.suite,
        run=told.run,
        figures=page_of_run(told),
        filters=filters,
        n=len(ordered),
        first=after,
        cases=tuple(_case(each, subjects) for each in ordered[after : after + _PAGE]),
        more=more if len(ordered) > after + _PAGE else "",
    )
    crumbs = (*crumbs_of(told), ("Run", page_of_run(told)))
    return View("Case by case", data, crumbs, f"perdure eval report {told.run}")


def _filters(asked: Asked, told: EvalTold) -> Filters:
    scorers = tuple(each.label for each in told.scorers)
    tags = tuple(sorted({tag for case in told.cases for tag in case.tags}))
    two = len(told.sides) > 1
    return Filters(
        flip=one_of(asked.query, "flip", FLIPS),
        scorer=one_of(asked.query, "scorer", scorers),
        tag=one_of(asked.query, "tag", tags),
        q=text(asked.query, "q"),
        order=one_of(asked.query, "order", ORDERS, "loss"),
        failed=one_of(asked.query, "failed", ("yes",)) == "yes",
        disagreement=one_of(asked.query, "disagreement", ("yes",)) == "yes",
        flips=FLIPS if two else (),
        scorers=scorers,
        tags=tags,
        orders=ORDERS,
    )


def _fits(case: CaseTold, filters: Filters) -> bool:
    if (filters.flip and case.flip != filters.flip) or (filters.tag and filters.tag not in case.tags):
        return False
    if (filters.failed and not case.failed) or (filters.disagreement and not case.disagreement):
        return False
    return not filters.q or any(filters.q.casefold() in each.casefold() for each in _texts(case))


def _texts(case: CaseTold) -> Iterator[str]:
    yield from (case.id, case.question, case.expected)
    yield from (answer.text for side in case.answers for answer in side)


def _loss(case: CaseTold, filters: Filters) -> tuple[float, str]:
    """Where a case stands: by the change of its score, by one scorer's where one was chosen; of one version by its score."""
    if filters.scorer:
        sides = [_mean(side, filters.scorer) for side in case.answers]
        known = [each for each in sides if each is not None]
        value = known[-1] - known[0] if len(known) > 1 else known[0] if known else 0.0
    else:
        score = score_of(case)
        value = case.change if case.change is not None else 1.0 if score is None else score
    return (-value if filters.order == "gain" else value), case.id


def _mean(side: Sequence[AnswerTold], label: str) -> float | None:
    found = [part.value for each in side for part in each.scores if part.label == label and part.value is not None]
    return sum(found) / len(found) if found else None


def _case(case: CaseTold, subjects: Sequence[str]) -> Case:
    inputs = _inputs(case.question)
    shortest = sorted(inputs, key=lambda each: len(each.text))
    single = len(case.answers) == 2 and all(len(side) == 1 for side in case.answers)
    return Case(
        id=case.id,
        flip=case.flip if len(subjects) > 1 else "",
        tone=TONES[case.flip],
        change=points(case.change) if case.change is not None else share(score_of(case)),
        asked=" · ".join(f"{each.name}: {_begin(each.text)}".removeprefix(": ") for each in shortest)[:_WORDS_SHOWN],
        inputs=inputs,
        expected=case.expected,
        contexts=case.contexts,
        tags=case.tags,
        disagreement=case.disagreement,
        sides=tuple(
            Side(subject, tuple(map(_answer, side))) for subject, side in zip(subjects, case.answers, strict=True)
        ),
        difference=_word_diff(case.answers[0][0].text, case.answers[1][0].text) if single else (),
    )


def _inputs(question: str) -> tuple[Text, ...]:
    """What a case asks, variable by variable.

    >>> [(each.name, each.text) for each in _inputs('{"n": 3, "of": "x"}')], _inputs("how?")
    ([('n', '3'), ('of', 'x')], (Text(name='', text='how?'),))
    """
    try:
        told = msgspec.json.decode(question)
    except msgspec.DecodeError:
        told = None
    if not isinstance(told, dict) or not told:
        return (Text("", question),)
    return tuple(
        Text(name, value if isinstance(value, str) else msgspec.json.encode(value).decode())
        for name, value in told.items()
    )


def _begin(text: str) -> str:
    told = " ".join(text.split())
    return told if len(told) <= _BEGINNING else f"{told[: _BEGINNING - 1]}…"


def _answer(found: AnswerTold) -> Answer:
    return Answer(
        sample=found.sample,
        score=share(found.score),
        pieces=tuple(_marked(found)),
        scores=tuple(Scored(each.label, share(each.value), each.why or each.outcome) for each in found.scores),
        error=found.error,
        cost=usd(found.cost_usd),
        took=ms(found.latency_ms),
        known=found.cached,
    )


def _marked(found: AnswerTold) -> Iterator[Piece]:
    at = 0
    for start, end in sorted(found.spans):
        if start > at:
            yield Piece(found.text[at:start], "same")
        if end > max(start, at):
            yield Piece(found.text[max(start, at) : end], "unsupported")
        at = max(at, end)
    if at < len(found.text):
        yield Piece(found.text[at:], "same")


def _word_diff(before: str, after: str) -> tuple[Piece, ...]:
    """The second text with what went of the first and what came, by words; nothing where they are the same, or long.

    Where they share little there is nothing either: words of two sentences between one another are read by nobody.
    """
    old, new = (re.findall(r"\s+|\w+|[^\w\s]", each) for each in (before, after))
    if before == after or max(len(old), len(new)) > 2 * _WORDS:
        return ()
    if not _share_much(*([each for each in side if not each.isspace()] for side in (old, new))):
        return ()
    pieces: list[Piece] = []
    for what, a, b, c, d in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if what == "equal":
            pieces.append(Piece("".join(new[c:d]), "same"))
            continue
        if a < b:
            pieces.append(Piece("".join(old[a:b]), "gone"))
        if c < d:
            pieces.append(Piece("".join(new[c:d]), "new"))
    return tuple(pieces)


def _share_much(before: Sequence[str], after: Sequence[str]) -> bool:
    """Whether half of the shorter text's words stand in the other one.

    >>> _share_much(["the", "key", "is", "7"], ["I", "do", "not", "know"]), _share_much(["7"], ["perhaps", "7"])
    (False, True)
    """
    found = difflib.SequenceMatcher(None, before, after, autojunk=False).get_matching_blocks()
    return 2 * sum(each.size for each in found) >= min(len(before), len(after))

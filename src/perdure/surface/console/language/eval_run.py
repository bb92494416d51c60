"""`/language/evals/{run}`: one version measured, or two beside each other: verdict, gates, figures with intervals, and every flip.

No text of a case stands here: those are on the page of cases, for whoever may read them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from perdure.core.stats.intervals import Interval
from perdure.core.verdict import Comparison
from perdure.surface.console.asking import address, one_of, whole
from perdure.surface.console.language.cells import NONE, count, interval, ms, page_of, usd
from perdure.surface.console.language.eval_read import crumbs_of, page_of_run, read_eval
from perdure.surface.console.language.gated import Word, words_of
from perdure.surface.console.records import Asked, Cell, Table, Tone, View
from perdure.surface.eval_told import (
    CaseTold,
    EvalTold,
    Flip,
    ScorerTold,
    difference_text,
    interval_text,
    points,
    score_of,
    share,
)

FLIPS: tuple[Flip, ...] = ("worse", "better", "same", "unpaired")
_PAGE = 100
TONES: dict[str, Tone] = {"better": "good", "worse": "bad", "same": "mute", "unpaired": "warn"}
_VERDICTS: dict[Comparison, Tone] = {
    Comparison.BETTER: "good",
    Comparison.WORSE: "bad",
    Comparison.EQUIVALENT: "info",
    Comparison.NOT_ENOUGH_EVIDENCE: "warn",
}


@dataclass(frozen=True, slots=True)
class Drawn:
    """An interval as it is drawn in a row: places from 0, the left end, to 100."""

    low: float
    value: float
    high: float


@dataclass(frozen=True, slots=True)
class ScorerRow:
    """One scorer: a figure of each version, the difference with its interval, and that as a drawing."""

    name: str
    sides: tuple[str, ...]
    difference: str
    drawn: Drawn | None
    tone: Tone
    note: str


@dataclass(frozen=True, slots=True)
class Scale:
    """What the drawings of differences share; places from 0 to 100."""

    zero: float
    left: float
    """From here to `right` a difference counts as none."""
    right: float
    text: str


@dataclass(frozen=True, slots=True)
class EvalPage:
    """The whole page."""

    suite: str
    suite_page: str
    suite_version: str
    run: str
    at: datetime
    subjects: tuple[str, ...]
    sides_named: tuple[str, ...]
    """The same as columns are called."""
    diff: str
    """Address of the texts of both versions beside each other; empty for one alone."""
    verdict: str
    tone: Tone
    text: str
    difference: str
    """In points."""
    bounds: str
    partial: str
    n_cases: int
    n_clusters: int
    n_samples: int
    n_outdated: int
    spent: str
    took: str
    flips: tuple[tuple[str, int, Tone, str], ...]
    """What became of cases, how many, its tone, and the address of those."""
    sides: Table
    gates: Table
    scorers: tuple[ScorerRow, ...]
    scale: Scale | None
    flip: str
    cases: Table
    texts: str
    may_read: bool


def view(asked: Asked) -> View:
    """The page."""
    told = read_eval(asked)
    flip = one_of(asked.query, "flip", FLIPS)
    page, two = page_of_run(told), len(told.sides) > 1
    subjects = tuple(each.subject for each in told.sides)
    name = subjects[0].partition("@")[0]
    is_known = two and _are_known(asked, name, subjects)
    scorers, scale = _scorers(told)
    data = EvalPage(
        suite=told.suite,
        suite_page=page_of("suite", told.suite),
        suite_version=told.version,
        run=told.run,
        at=told.at,
        subjects=subjects,
        sides_named=_named(told),
        diff=address(page_of("prompt", name) + "/compare", before=subjects[0], after=subjects[1]) if is_known else "",
        verdict=str(told.comparison) if told.comparison else "measured",
        tone=_VERDICTS[told.comparison] if told.comparison else "mute",
        text=told.text,
        difference=points(told.difference.value) if told.difference else "",
        bounds=f"{points(told.difference.low)} to {points(told.difference.high)}" if told.difference else "",
        partial=told.partial,
        n_cases=told.n_cases,
        n_clusters=told.n_clusters,
        n_samples=told.n_samples,
        n_outdated=told.n_outdated,
        spent=usd(told.spent_usd),
        took=ms(1000 * told.took_s) if told.took_s else "",
        flips=tuple((each, told.count(each), TONES[each], address(page, flip=each)) for each in FLIPS) if two else (),
        sides=_sides(told),
        gates=_gates(told, _asked_for(asked, name, told.run)),
        scorers=scorers,
        scale=scale,
        flip=flip,
        cases=_cases(told, flip, whole(asked.query, "after", 0, most=1_000_000)),
        texts=page + "/cases",
        may_read=asked.person.may("bodies"),
    )
    title = f"{told.suite}: {data.verdict}"
    return View(title, data, crumbs_of(told), f"perdure eval report {told.run}")


def _are_known(asked: Asked, prompt: str, versions: tuple[str, ...]) -> bool:
    """Whether the texts of these versions can still be shown: what was declared once, and never released, is gone."""
    if prompt not in asked.project.project.prompts:
        return False
    with asked.project.place.stores.ledger.read() as session:
        known = {each.id for each in session.registry.list_versions(prompt, limit=200)}
    return set(versions) <= {*known, asked.project.show_prompt(prompt).version}


def _named(told: EvalTold) -> tuple[str, ...]:
    return ("Before", "After") if len(told.sides) == 2 else tuple(each.subject for each in told.sides)


def _sides(told: EvalTold) -> Table:
    rows = [
        (
            each.subject,
            interval_text(each.score, each.mean),
            count(each.n_answers),
            count(each.n_cached),
            count(each.n_failed),
            interval(each.hallucination),
            usd(each.cost_usd) + (f" ({each.n_unpriced} without a price)" if each.n_unpriced else ""),
            ms(each.p50_ms),
            ms(each.p95_ms),
        )
        for each in told.sides
    ]
    headings = ("Version", "Score, 95%", "Answers", "Known", "Failed", "Unsupported, 95%", "Cost", "p50", "p95")
    return Table(headings, rows, "Versions: score, answers, cost and latency", numeric=frozenset(range(1, 9)))


def _asked_for(asked: Asked, asset: str, run: str) -> tuple[Word, ...]:
    """What the gates said that asked for a run."""
    with asked.project.place.stores.ledger.read() as session:
        words = words_of(session, asset)
    return tuple(word for word in words if any(results == run for results, _ in word.found))


def _gates(told: EvalTold, asked_for: tuple[Word, ...]) -> Table:
    rows = [
        (
            each.gate,
            Cell("passed" if each.passed else "stopped", tone="good" if each.passed else "bad"),
            str(each.comparison),
            "as above" if each.text == told.text else each.text,
        )
        for each in told.gates
    ]
    rows += [
        (
            word.gate,
            Cell("passed" if word.passed else "stopped", tone="good" if word.passed else "bad"),
            word.comparison,
            word.text,
        )
        for word in asked_for
    ]
    empty = "No gate was asked of this run: perdure eval compare gives a verdict, perdure apply asks the gates."
    return Table(("Gate", "Word", "Found", "Says"), rows, "What each gate says", empty=empty)


def _scorers(told: EvalTold) -> tuple[tuple[ScorerRow, ...], Scale | None]:
    found = [each.difference for each in told.scorers] + [told.difference]
    known = [each for each in found if each is not None]
    reach = max([told.margin, *(abs(bound) for each in known for bound in (each.low, each.high))]) * 1.05
    whole_row = ScorerRow(
        "all together",
        tuple(interval_text(each.score, each.mean) for each in told.sides),
        difference_text(told.difference) if told.difference else NONE,
        _drawn(told.difference, reach),
        _tone(told.difference, told.margin),
        "",
    )
    rows = (whole_row, *(_scorer(each, reach, told) for each in told.scorers))
    if not known:
        return rows, None
    margin = 50 * told.margin / reach
    text = (
        f"from {points(-reach)} to {points(reach)} points; within {100 * told.margin:g} points of 0 it counts as none"
    )
    return rows, Scale(50.0, round(50 - margin, 2), round(50 + margin, 2), text)


def _scorer(found: ScorerTold, reach: float, told: EvalTold) -> ScorerRow:
    corrected = " → ".join(interval_text(each) for each in found.corrected if each is not None)
    return ScorerRow(
        f"{found.label} (judge)" if found.judge else found.label,
        tuple(found.cell(side) for side in range(len(found.raw))),
        difference_text(found.difference) if found.difference else NONE,
        _drawn(found.difference, reach),
        _tone(found.difference, told.margin),
        " ".join(filter(None, (f"by labels {corrected}" if corrected else "", found.note))),
    )


def _drawn(found: Interval | None, reach: float) -> Drawn | None:
    if found is None:
        return None
    low, value, high = (round(50 + 50 * each / reach, 2) for each in (found.low, found.value, found.high))
    return Drawn(low, value, high)


def _tone(found: Interval | None, margin: float) -> Tone:
    if found is None or -margin <= found.value <= margin:
        return "mute"
    if found.low > 0:
        return "good"
    return "bad" if found.high < 0 else "warn"


def _cases(told: EvalTold, flip: str, after: int) -> Table:
    cases = [each for each in told.cases if not flip or each.flip == flip]
    two = len(told.sides) > 1
    ordered = sorted(cases, key=_loss)
    sides = _named(told)
    more = address(page_of_run(told), flip=flip, after=after + _PAGE) if len(ordered) > after + _PAGE else ""
    return Table(
        headings=("Case", "Flip", "Change", *sides, "Tags", "To look at")
        if two
        else ("Case", *sides, "Tags", "To look at"),
        rows=[_case(each, told) for each in ordered[after : after + _PAGE]],
        caption="Cases, the greatest loss first" if two else "Cases, the lowest score first",
        numeric=frozenset({2, 3, 4}) if two else frozenset({1}),
        more=more,
        empty="No case is so." if flip else "This run has no answers yet: perdure eval run --run RUN goes on with it.",
    )


def _loss(case: CaseTold) -> tuple[float, str]:
    if case.change is not None:
        return case.change, case.id
    score = score_of(case)
    return (1.0 if score is None else score), case.id


def _case(case: CaseTold, told: EvalTold) -> tuple[Cell | str, ...]:
    odd = ", ".join(filter(None, ("failed" if case.failed else "", "judges disagree" if case.disagreement else "")))
    scores = [share(score_of(case, side)) for side in range(len(told.sides))]
    name = Cell(case.id, address(page_of_run(told) + "/cases", case=case.id))
    flip: tuple[Cell | str, ...] = (Cell(case.flip, tone=TONES[case.flip]), points(case.change))
    return (name, *(flip if len(told.sides) > 1 else ()), *scores, ", ".join(case.tags), odd)

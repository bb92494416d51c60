"""`EvalTold` of a run that is on record: rows and texts from the stores, verdict and corrections from their engines.

Called for every way of showing an eval. Nothing is asked of a model here: what a run paid for is told again in seconds, and
what computes (unsupported spans) is computed anew, for only the scores of it are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from perdure.assets.health import Verdict
from perdure.assets.judge import Judge
from perdure.assets.scorer_specs import label_of, scorer_of
from perdure.assets.scorers import Grounded, Judged
from perdure.assets.suite import Suite
from perdure.assets.suite_cases import FrozenSuite
from perdure.assets.version import Version
from perdure.core.clock import to_us
from perdure.core.errors import PerdureError, not_found
from perdure.core.stats.corrected import Corrected
from perdure.core.stats.verdicts import Compared, Plan
from perdure.core.usage import PICO
from perdure.engines.evals.compiling import compile_scorers
from perdure.engines.judges.correcting import corrected_share
from perdure.loop.protocols import Workplace
from perdure.loop.telemetry_evals import Evaluation
from perdure.loop.work.evals.answers import read_kept
from perdure.loop.work.evals.comparing import kept_verdict, verdict_of
from perdure.loop.work.evals.frozen import cases_in, thaw
from perdure.loop.work.evals.running import find_run, version_of
from perdure.loop.work.judges import state
from perdure.loop.work.judges.labels import read_labelled
from perdure.loop.work.judges.queue import n_outdated
from perdure.loop.work.spans import Value
from perdure.stores.ledger.protocols import Run
from perdure.stores.results.protocols import RunRow
from perdure.surface.eval_gates import CHANGE, GATE, gate_of, gates_of
from perdure.surface.eval_rows import Looked, Spans, Texts, cases_told, scorers_told, sides_told
from perdure.surface.eval_told import EvalTold, ScorerTold

_ALPHA = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class ToldOf:
    """Which part of a run is told.

    Args:
        run: id of the run.
        subjects: one version of it, or two, the present one first; empty: the first two that it asked.
        gates: verdicts that were given on it.
        judges: the declared judges by name, whose figures labels correct.
        declared: versions that are declared and not released, by name.
        took_s: how long it took, where that is known; else as long as its own answers, one after another.
    """

    run: str
    subjects: tuple[str, ...] = ()
    gates: tuple[Verdict, ...] = ()
    judges: Mapping[str, Judge] | None = None
    declared: Mapping[str, Version] | None = None
    took_s: float = 0.0


def eval_told(place: Workplace, of: ToldOf, now: datetime) -> EvalTold:
    """The run as it is shown. Cost: some 0.2 ms an answer, most of it to find unsupported spans.

    Raises:
        NotFound: no such run, a version that it did not ask, or what it froze is gone.
        BadSuite: the run is of something else than a suite.
    """
    record = find_run(place, of.run)
    if record is None:
        raise not_found("run", of.run, ())
    asked: list[str] = list(record.facts["subjects"])
    for subject in of.subjects:
        if subject not in asked:
            raise not_found("version in this run", subject, asked)
    subjects = of.subjects or tuple(asked[:2])
    frozen = thaw(place.stores.blobs, record.facts["frozen"])
    suite = _suite_of(frozen)
    rows = [row for row in place.stores.results.list_run(of.run) if row.subject in subjects]
    names = {label_of(each): each.judge for each in suite.scorers if isinstance(each, Judged)}
    looked = Looked(subjects, frozenset(names), suite.margin)
    texts = _texts(place, frozen, suite, rows)
    cases = cases_told(rows, looked, texts)
    partial = str(record.facts.get("partial", ""))
    waited_s = sum(row.latency_us for row in rows if not row.cached) / 1e6
    kept = kept_verdict(record, subjects)
    verdict = kept or (compared(rows, subjects, suite, partial=bool(partial)) if len(subjects) > 1 else None)
    told = EvalTold(
        suite=suite.name,
        version=str(record.facts["suite_version"]),
        run=record.id,
        at=record.finished_at or record.started_at,
        sides=sides_told(rows, subjects, texts.claims),
        scorers=tuple(_corrected(place, each, names, rows, (looked, of, now)) for each in scorers_told(rows, looked)),
        cases=cases,
        gates=of.gates,
        comparison=verdict.comparison if verdict else None,
        difference=verdict.difference if verdict else None,
        text=verdict.text if verdict else "",
        role=suite.role,
        margin=suite.margin,
        n_cases=len(cases),
        n_clusters=len({row.cluster or row.case for row in rows}),
        n_samples=int(record.facts["n_samples"]),
        spent_usd=_spent(record, rows),
        took_s=of.took_s or waited_s,
        waited_s=waited_s,
        partial=partial,
        n_outdated=n_outdated(place, suite.name),
    )
    if of.gates or kept is None:
        return told
    return replace(told, gates=gates_of(told) if record.facts.get(GATE) == CHANGE else (gate_of(suite, kept),))


def _suite_of(frozen: FrozenSuite) -> Suite:
    """The suite as it was frozen, with those of its scorers that more is told of; the project's own functions stay away."""
    told = frozen.definition
    kept = [
        scorer_of({each["scorer"]: {name: value for name, value in each.items() if name != "scorer"}})
        for each in told["scorers"]
        if each["scorer"] in ("grounded", "judged")
    ]
    plain = {name: told[name] for name in ("role", "margin", "smallest", "n_samples") if name in told}
    asked = {"prompt": told.get("prompt", ""), "route": told.get("route", "") or "any"}
    return Suite(frozen.name, frozen.cases[:1], kept or [Grounded()], **asked, **plain)


def _spent(record: Run, rows: Iterable[RunRow]) -> float:
    whole = record.metrics.get("spent_pusd")
    return (sum(row.spent_pusd for row in rows) if whole is None else whole) / PICO


def _texts(place: Workplace, frozen: FrozenSuite, suite: Suite, rows: Sequence[RunRow]) -> Texts:
    cases = {each.digest: each.case for each in cases_in(frozen)}
    keys = list(dict.fromkeys(row.answer for row in rows if row.answer))
    kept = {
        key: read_kept(body).answered()
        for at in range(0, len(keys), 10_000)
        for key, body in place.stores.results.find_answers(keys[at : at + 10_000]).items()
    }
    grounded = replace(suite, scorers=[each for each in suite.scorers if isinstance(each, Grounded)] or [Grounded()])
    found: dict[str, Spans] = {}
    claims: dict[str, tuple[int, int]] = {}
    scorers = {
        each.label: each for each in compile_scorers(grounded, embed=None, entails=None, run_code=None, schema=None)
    }
    for row in rows:
        by = next((label for label, value, _, _ in row.scores if label in scorers and value is not None), None)
        if by and row.answer in kept and row.case in cases:
            facts = scorers[by].score(cases[row.case], kept[row.answer]).facts
            found[row.answer] = tuple((int(each[0]), int(each[1])) for each in facts.get("spans", ()))
            if "claims" in facts:
                claims[row.answer] = (facts["claims"] - facts["supported"], facts["claims"])
    return Texts(cases, {key: answered.text for key, answered in kept.items()}, found, claims)


def compared(
    rows: Sequence[RunRow], subjects: Sequence[str], suite: Suite, *, partial: bool = False, alpha: float = _ALPHA
) -> Compared:
    """The verdict on the second version against the first, by the margins that the suite declared; `alpha` is two-sided.

    A case that one side failed to answer scores 0 there; one that a side was never asked does not count.
    """
    n_clusters = len({row.cluster or row.case for row in rows})
    plan = Plan(suite.margin, suite.smallest, n_clusters, n_looks=1, alpha=alpha)
    return verdict_of(rows, (subjects[0], subjects[1]), plan, look=1, partial=partial)


def _corrected(
    place: Workplace,
    scorer: ScorerTold,
    names: Mapping[str, str],
    rows: Sequence[RunRow],
    seen: tuple[Looked, ToldOf, datetime],
) -> ScorerTold:
    """A judge's figures beside what people's labels make of them; other scorers as they are."""
    looked, of, now = seen
    judge = (of.judges or {}).get(names.get(scorer.label, ""))
    if not scorer.judge or judge is None:
        return scorer
    figures = figures_of(
        place, rows, [(scorer.label, each) for each in looked.subjects], (judge, of.declared or {}, now)
    )
    usable = len(figures) == len(looked.subjects) and all(each.corrected for each in figures)
    text = figures[-1].text if figures else ""
    return replace(scorer, corrected=tuple(each.corrected for each in figures) if usable else (), text=text)


def figures_of(
    place: Workplace,
    rows: Sequence[RunRow],
    wanted: Iterable[tuple[str, str]],
    by: tuple[Judge, Mapping[str, Version], datetime],
) -> list[Corrected]:
    """What people's labels make of a judge's figures.

    Args:
        place: where its calibration is.
        rows: of a run.
        wanted: (scorer's label, version) of each figure; one that the judge said nothing of has none.
        by: the judge, what is declared and not released, and the instant up to which labels count.
    """
    judge, declared, now = by
    version = version_of(place, judge.name, declared)
    measured = state.find(place, judge.name, version.id)
    anchored = (read_labelled(place, judge, now), measured.judgements) if measured else ([], {})
    said = [found for label, subject in wanted if (found := _said(rows, subject, label))]
    return [corrected_share(each, (), anchored, measured.calibration if measured else None) for each in said]


@dataclass(frozen=True, slots=True, eq=False)
class JudgeFigures:
    """A run's figures by judges, corrected, as evaluations for a collector: the raw values never go out alone.

    Args:
        judges: declared, by name.
        declared: what versions of them are declared and not released.
    """

    judges: Mapping[str, Judge]
    declared: Callable[[Workplace, datetime], Mapping[str, Version]]

    def __call__(self, place: Workplace, run: Run, now: datetime) -> list[Evaluation]:
        """`<scorer>.corrected` of each version: with its value, or as refused, and how it was made in words.

        What it rests on may be gone by then (a blob, an anchor file, a judge): then there is none, and a round goes on.
        """
        try:
            return self._made(place, run, now)
        except PerdureError:
            return []

    def _made(self, place: Workplace, run: Run, now: datetime) -> list[Evaluation]:
        suite = _suite_of(thaw(place.stores.blobs, run.facts["frozen"]))
        names = {label_of(each): each.judge for each in suite.scorers if isinstance(each, Judged)}
        rows = list(place.stores.results.list_run(run.id)) if names else []
        found = []
        for label, name in names.items():
            for subject in run.facts["subjects"] if name in self.judges else ():
                by = (self.judges[name], self.declared(place, now), now)
                found += [
                    _evaluation(run, label, subject, each) for each in figures_of(place, rows, [(label, subject)], by)
                ]
        return found


def _evaluation(run: Run, label: str, subject: str, figure: Corrected) -> Evaluation:
    found = figure.corrected
    told: dict[str, Value] = {
        "perdure.suite": str(run.facts["suite"]),
        "perdure.run": run.id,
        "perdure.version": subject,
        "perdure.score.raw": figure.raw.value,
        "perdure.score.method": figure.method,
        "perdure.n_labels": figure.n_labels,
    }
    if found:
        told |= {"perdure.score.low": found.low, "perdure.score.high": found.high}
    return Evaluation(
        at_us=to_us(run.finished_at or run.started_at),
        name=f"{label}.corrected",
        value=found.value if found else None,
        label="" if found else "refused",
        explanation=figure.text,
        attributes=told,
    )


def _said(rows: Iterable[RunRow], subject: str, label: str) -> dict[str, float | None]:
    """What a judge says of each case that it was asked of, mean over samples; None where it had no opinion."""
    found: dict[str, list[float]] = {}
    for row in rows:
        for name, value, outcome, _ in row.scores if row.subject == subject else ():
            if name == label and outcome != "not_applicable":
                found.setdefault(row.case, []).extend([] if value is None or outcome != "scored" else [value])
    return {case: sum(values) / len(values) if values else None for case, values in found.items()}


__all__ = ["JudgeFigures", "ToldOf", "compared", "eval_told", "figures_of", "gate_of"]

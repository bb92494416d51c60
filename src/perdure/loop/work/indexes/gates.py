"""Every gate of indexes: what a version must prove before the pointer moves to it.

`index_whole`: a census of it finds nothing wrong. `index_golden`: golden questions find what they should, no worse than before.
`index_shadow`: questions that people asked lately are asked of both; it leaves no more of them unanswered, and costs no more than twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from perdure.assets.health import Comparison, Verdict
from perdure.assets.objective import Objective
from perdure.assets.repair import Stage, Trial
from perdure.core.errors import Corrupt, TooFewRows
from perdure.core.stats.ranking import compared, measured
from perdure.core.stats.verdicts import Plan
from perdure.core.units import days
from perdure.engines.retrieval.embedders.sentinels import SENTINELS
from perdure.engines.retrieval.golden import Golden
from perdure.engines.retrieval.skew import Census
from perdure.loop.protocols import Gate, Watched, Workplace
from perdure.loop.work.indexes.asking import Answers, ask, golden_of, placed, scores
from perdure.loop.work.indexes.kept import newest_census
from perdure.loop.work.indexes.sentinels import find_sentinels
from perdure.loop.work.indexes.signals_traffic import questions, read_searches, unanswered
from perdure.loop.work.indexes.watched import IndexesAtWork, index_of

K = 10
"""So many are looked at of what a question finds."""
MARGIN = 0.02
"""Differences within it count as none, in nDCG and in shares of questions."""
_MOST_LOST = 0.01
"""Of the documents: so many may be in trouble that were not before."""
_GOLDEN = ("golden_recall", "golden_ndcg")
"""Signals of golden questions."""
_LATELY = days(7)
_MOST_ASKED = 200
_MOST_TIMES = 2.0
_FEW_BYTES, _FEW_MS = 200_000_000, 2.0
"""Less is no matter, however often more than before."""
_BETTER, _WORSE, _SAME, _UNSURE = (
    Comparison.BETTER,
    Comparison.WORSE,
    Comparison.EQUIVALENT,
    Comparison.NOT_ENOUGH_EVIDENCE,
)


def index_gates(opens: IndexesAtWork | None) -> tuple[Gate, ...]:
    """The gates of the kind "index".

    Args:
        opens: opens versions to ask them; None: their censuses alone are looked at, as for a way back by hand.
    """
    if opens is None:
        return (IndexWhole(),)
    return (IndexWhole(), IndexGolden(opens), IndexShadow(opens))


class IndexWhole:
    """A census of the version, taken after it was filled, finds nothing wrong, and it has what the one that answers has."""

    name = "index_whole"
    stages: Sequence[Stage] = ("verify", "rollback")

    def judge(self, place: Workplace, asset: Watched, trial: Trial, now: datetime) -> Verdict:  # noqa: ARG002 - the Protocol's
        """In `verify` it passes what is whole; a way back is open to what was ever filled."""
        census = newest_census(place, asset.name, trial.candidate)
        if census is None:
            return Verdict(self.name, _UNSURE, False, "It was never counted: nobody knows what is in it.")
        found = {kind: n for kind, n in census.counts().items() if n}
        whole = census.whole and not found
        told = ", ".join(f"{n} {kind.replace('_', ' ')}" for kind, n in found.items())
        why = f"finds {told}" if told else "finds nothing wrong" if whole else f"could not be whole: {census.why_not}"
        text = f"A census of {census.n_documents} documents and {census.n_chunks} chunks {why}."
        lost = self._lost(place, asset, trial, census)
        if lost:
            text += f" {len(lost)} documents that are in what answers could not be indexed in it ({lost[0]} for one)."
        enough = len(lost) <= _MOST_LOST * census.n_source
        passed = (whole and enough) or trial.stage == "rollback"
        return Verdict(
            self.name, _UNSURE, passed, text, {**found, "generation": census.generation, "n_lost": len(lost)}
        )

    def _lost(self, place: Workplace, asset: Watched, trial: Trial, census: Census) -> list[str]:
        """Documents in trouble here alone: those that cannot be read at all are in trouble in both."""
        before = None if trial.incumbent is None else newest_census(place, asset.name, trial.incumbent)
        known = before.troubles if before is not None else {}
        return sorted(census.troubles.keys() - known.keys())


class IndexGolden:
    """Golden questions asked of both, question by question. The gain is that of nDCG. Of a first version the objectives declared of them."""

    name = "index_golden"
    stages: Sequence[Stage] = ("verify", "watch")

    def __init__(self, opens: IndexesAtWork) -> None:
        self._opens = opens

    def judge(self, place: Workplace, asset: Watched, trial: Trial, now: datetime) -> Verdict:  # noqa: ARG002 - the Protocol's
        """In `verify` it passes what is better, or for sure no worse; in `watch` what is not worse for sure.

        Raises:
            BadIndex: the questions cannot be read.
        """
        golden = golden_of(index_of(asset))
        if golden is None:
            return Verdict(
                self.name, _UNSURE, True, "No golden questions are declared: nothing says what should be found."
            )
        with self._opens.open(asset.name, trial.candidate) as opened, suppress(Corrupt):
            golden = placed(opened, golden)
        if trial.incumbent is None:
            return self._of_first(asset, trial, golden)
        first, second = (
            _asked(self._opens, asset, each, golden.queries) for each in (trial.candidate, trial.incumbent)
        )
        values = [_scored(golden, each, "golden_ndcg") for each in (first, second)]
        recalls = [float(_scored(golden, each, "golden_recall").mean()) for each in (first, second)]
        plan = Plan(MARGIN, 2 * MARGIN, len(set(golden.clusters.tolist())), n_looks=1)
        found = compared(values[0], values[1], plan, golden.clusters)
        same = first is not None and second is not None and first.found == second.found
        comparison = _SAME if same else found.comparison
        later = trial.stage != "verify"
        passed = comparison is not _WORSE and (later or same or found.not_worse or comparison in (_BETTER, _SAME))
        said = "both find the same for every question" if same else found.text
        text = (
            f"nDCG@{K} {values[0].mean():.3f} against {values[1].mean():.3f}, recall@{K} {recalls[0]:.3f} against "
            f"{recalls[1]:.3f}; {said}."
        )
        evidence = {
            "n": len(golden.questions),
            "n_clusters": found.n_clusters,
            "difference": [found.difference.low, found.difference.high],
            "troubles": list(golden.troubles[:5]),
        }
        return Verdict(self.name, comparison, passed, text, evidence, found.difference.value)

    def _of_first(self, asset: Watched, trial: Trial, golden: Golden) -> Verdict:
        """Nothing answers yet: what it finds is held against what is declared, and without a bound only told."""
        owed = [each for each in asset.healthy if each.spec.signal in _GOLDEN and each.bound is not None]
        depth = max([K, *(int(each.spec.params["k"]) for each in owed)])
        answers = _asked(self._opens, asset, trial.candidate, golden.queries, depth)
        told, passed = [], answers is not None
        for objective in owed:
            k, low_to_high = int(objective.spec.params["k"]), ""
            values = _scored(golden, answers, objective.spec.signal, k)
            holds = _holds(float(values.mean()), objective)
            with suppress(TooFewRows):
                found = measured(values, golden.clusters, confidence=objective.confidence)
                low_to_high = f" ({found.low:.3f} to {found.high:.3f})"
            told.append(f"{values.mean():.3f}{low_to_high} {'holds' if holds else 'misses'} {objective.text()}")
            passed = passed and holds
        recall, ndcg = (float(_scored(golden, answers, name, K).mean()) for name in _GOLDEN)
        text = "; ".join(told) or f"recall@{K} {recall:.3f}, nDCG@{K} {ndcg:.3f}, and no objective is declared of them"
        evidence = {"n": len(golden.questions), "recall": recall, "ndcg": ndcg, "troubles": list(golden.troubles[:5])}
        return Verdict(self.name, _UNSURE, passed, f"Nothing answers yet. Golden questions: {text}.", evidence)


class IndexShadow:
    """What people asked lately, asked of both: what they agree on, what finds nothing near, what it costs."""

    name = "index_shadow"
    stages: Sequence[Stage] = ("verify",)

    def __init__(self, opens: IndexesAtWork) -> None:
        self._opens = opens

    def judge(self, place: Workplace, asset: Watched, trial: Trial, now: datetime) -> Verdict:
        """It passes what leaves no more unanswered for sure, and costs no more than twice the time and memory."""
        if trial.incumbent is None:
            return Verdict(self.name, _UNSURE, True, "Nothing answers that it could be compared with.")
        rows = read_searches(place.stores.lake, asset.name, now - _LATELY, now)
        captured = list(dict.fromkeys(questions(rows)))
        asked = _spread(captured) or list(SENTINELS)
        both = [_asked(self._opens, asset, each, asked) for each in (trial.candidate, trial.incumbent)]
        first, second = both
        if first is None or second is None:
            said = "What answers cannot be read." if first is not None else "It cannot be read."
            return Verdict(self.name, _UNSURE, first is not None, said)
        cost, cheap = _cost(first, second)
        if not captured:
            return Verdict(self.name, _UNSURE, cheap, f"No question of the last week is kept. {cost}")
        missed = [_missed(place, asset, v, each) for v, each in ((trial.candidate, first), (trial.incumbent, second))]
        found = compared(1.0 - missed[0], 1.0 - missed[1], Plan(MARGIN, 2 * MARGIN, len(asked), n_looks=1))
        text = (
            f"Of {len(asked)} questions that people asked, {missed[0].sum():.0f} find nothing near, against "
            f"{missed[1].sum():.0f}; both share {_overlap(first, second):.0%} of what they find. {cost}"
        )
        evidence = {"n": len(asked), "n_unanswered": float(missed[0].sum()), "overlap": _overlap(first, second)}
        return Verdict(self.name, found.comparison, cheap and found.comparison is not _WORSE, text, evidence)


def _asked(opens: IndexesAtWork, asset: Watched, version: str, queries: Sequence[str], k: int = K) -> Answers | None:
    """What a version finds; None of one that cannot be read any more."""
    with opens.open(asset.name, version) as opened:
        try:
            return ask(opened, queries, k)
        except Corrupt:
            return None


def _scored(golden: Golden, answers: Answers | None, measure: str, k: int = K) -> NDArray[np.float64]:
    """Of each question; what cannot be read finds nothing."""
    return np.zeros(len(golden.questions)) if answers is None else scores(golden, answers, measure, k)


def _holds(value: float, objective: Objective) -> bool:
    """Whether the value itself is on the healthy side; that its interval is too would ask too much of a first version."""
    bound = float(objective.bound or 0.0)
    return value >= bound if objective.operator == ">=" else value <= bound


def _missed(place: Workplace, asset: Watched, version: str, answers: Answers) -> NDArray[np.float64]:
    """1 of each question that finds nothing, or nothing near."""
    seen = find_sentinels(place, asset.name, version)
    empty = np.array([not each for each in answers.found])
    far = unanswered(answers.cosines, seen.near) if seen is not None else np.zeros(len(empty), dtype=np.bool_)
    missed: NDArray[np.float64] = (empty | far).astype(np.float64)
    return missed


def _overlap(first: Answers, second: Answers) -> float:
    """Mean over questions of the share of stretches that both find."""
    shares = [
        len(set(one) & set(other)) / max(len(set(one) | set(other)), 1)
        for one, other in zip(first.found, second.found, strict=True)
    ]
    return float(np.mean(shares)) if shares else 1.0


def _cost(first: Answers, second: Answers) -> tuple[str, bool]:
    slow = first.cpu_ms > _MOST_TIMES * second.cpu_ms + _FEW_MS
    large = first.n_bytes > max(_MOST_TIMES * second.n_bytes, _FEW_BYTES)
    text = (
        f"A search takes {first.cpu_ms:.1f} ms of CPU against {second.cpu_ms:.1f}, and {first.n_bytes / 1e6:.0f} MB of "
        f"memory against {second.n_bytes / 1e6:.0f}."
    )
    return text, not (slow or large)


def _spread(captured: Sequence[str]) -> list[str]:
    """At most so many, evenly over what was asked."""
    if len(captured) <= _MOST_ASKED:
        return list(captured)
    return [captured[place] for place in np.linspace(0, len(captured) - 1, _MOST_ASKED).astype(int)]

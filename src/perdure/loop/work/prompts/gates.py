"""Every gate of prompts: what another wording must prove against the one that answers.

A candidate is promoted when some primary suite is better for sure and no suite is worse; where no suite is primary, when
each is proven to be no worse than its margin. Errors are shared out so that all tests hold together: over the primary
suites, over rivals of one repair, and over repeated attempts on the same cases. What ended early proves nothing.

What was asked stands in the store of results: `asked` has it put there in the repair's own step, and gates only read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from perdure.assets.health import Comparison as Word
from perdure.assets.health import Verdict
from perdure.assets.objective import Objective
from perdure.assets.repair import Stage, Trial
from perdure.assets.suite import Suite
from perdure.core.stats import Interval
from perdure.core.stats.verdicts import Compared
from perdure.core.usage import PICO
from perdure.loop.protocols import Gate, Watched, Workplace
from perdure.loop.work.evals.pairing import Scores, scores_of
from perdure.loop.work.judges.trusted import why_untrusted
from perdure.loop.work.prompts.asked import Comparison, find_comparison
from perdure.loop.work.prompts.attempts import ALPHA, attempt_alpha
from perdure.loop.work.prompts.gates_answers import PromptAnswers
from perdure.loop.work.prompts.paired import (
    compared,
    cost_difference,
    mean_cost,
    mean_score,
    no_worse,
)
from perdure.loop.work.prompts.tested import PRIMARY, primaries, suites_of

MOST_DEARER = 1.0
"""By how much dearer an answer may become, as a share of what it costs; surely more is refused. Ours."""
_COST_CONFIDENCE = 0.95
_BETTER, _WORSE, _EQUAL, _UNSURE = Word.BETTER, Word.WORSE, Word.EQUIVALENT, Word.NOT_ENOUGH_EVIDENCE


def prompt_gates() -> tuple[Gate, ...]:
    """The gates of the kind "prompt"; each says in which stages of a release it judges."""
    return (PromptQuality(), PromptGuarded(), PromptCost(), PromptAnswers())


@dataclass(frozen=True, slots=True, eq=False)
class Met:
    """Both versions' scores in one suite, or why there are none."""

    suite: Suite
    found: Comparison | None
    first: Scores
    second: Scores
    alpha: float
    untrusted: str = ""
    """Why what its judges say is no proof, in words; empty where it is."""

    @property
    def whole(self) -> bool:
        """Whether it was asked to its end, of judges that can be trusted."""
        return self.found is not None and not self.found.partial and not self.untrusted

    def judged(self) -> Compared:
        """The verdict of the statistics."""
        partial = self.found is None or bool(self.found.partial)
        word = compared(self.first, self.second, self.suite, alpha=self.alpha, partial=partial)
        if not self.untrusted:
            return word
        return replace(word, comparison=_UNSURE, not_worse=False, n_more=None, text=f"{_UNSURE}: {self.untrusted}")

    def told(self, what: str) -> str:
        """In words, led by the suite's version, since it may be another one by now."""
        if self.found is None:
            return f"{self.suite.name} was not asked"
        early = f" ({self.found.partial})" if self.found.partial else ""
        again = f", attempt {self.found.attempt} on these cases" if self.found.attempt > 1 else ""
        return f"{self.found.suite_version}: {what}{early}{again}"

    def facts(self, word: Compared) -> dict[str, Any]:
        """For the ledger."""
        run = self.found.run if self.found else None
        return {
            "comparison": word.comparison,
            "difference": [word.difference.value, word.difference.low, word.difference.high],
            "n": word.difference.n,
            "n_clusters": word.n_clusters,
            "n_more": word.n_more,
            "alpha": self.alpha,
            "suite_version": "" if self.found is None else self.found.suite_version,
            "attempt": 0 if self.found is None else self.found.attempt,
            "results": "" if run is None else run.facts["results"],
            "partial": "" if self.found is None else self.found.partial,
            "n_failed": sum(each.n_failed for each in self.first.values()),
            "flips": _flips(self.first, self.second),
        }


def _flips(first: Scores, second: Scores) -> dict[str, int]:
    both = [case for case in first if case in second]
    return {
        "won": sum(first[case].score > second[case].score for case in both),
        "lost": sum(first[case].score < second[case].score for case in both),
    }


def meet(place: Workplace, asset: Watched, trial: Trial, suite: Suite, n_tests: int) -> Met:
    """What a suite says of a trial; `n_tests`: among how many tests its error is shared."""
    found = find_comparison(place, asset, suite, trial)
    if found is None:
        return Met(suite, None, {}, {}, ALPHA)
    alpha = attempt_alpha(found.attempt) / max(1, n_tests)
    second = scores_of(found.rows, trial.incumbent) if trial.incumbent else {}
    return Met(suite, found, scores_of(found.rows, trial.candidate), second, alpha, why_untrusted(place, suite))


class PromptQuality:
    """The primary suites: some must be better for sure, none worse; or all alike within the margin, and cheaper for sure.

    Of a first version the suites' absolute objectives. The gain is the sum of the primary suites' differences.
    """

    name = "prompt_quality"
    stages: Sequence[Stage] = ("verify",)

    def judge(self, place: Workplace, asset: Watched, trial: Trial, now: datetime) -> Verdict:  # noqa: ARG002 - the Protocol's
        """The verdict with every suite's figures; a suite that was not asked, or not to its end, proves nothing."""
        suites = primaries(asset)
        if trial.incumbent is None:
            return _absolute(self.name, place, asset, trial)
        if not suites_of(asset):
            return Verdict(self.name, _UNSURE, False, "No suite tests this prompt, so nothing proves it better.")
        if not suites:
            return Verdict(self.name, _UNSURE, True, "No suite is primary: each guarded one must be no worse.")
        met = [meet(place, asset, trial, suite, len(suites) * trial.n_rivals) for suite in suites]
        words = [each.judged() for each in met]
        evidence = {"suites": {each.suite.name: each.facts(word) for each, word in zip(met, words, strict=True)}}
        told = "; ".join(each.told(word.text) for each, word in zip(met, words, strict=True)) + "."
        said = {word.comparison for word in words}
        if _WORSE in said:
            return Verdict(self.name, _WORSE, False, told, evidence)
        gain = sum(word.difference.value for word in words)
        if not all(each.whole for each in met):
            return Verdict(self.name, _UNSURE, False, told, evidence, gain)
        word, passed, why = _promoted(met, words)
        return Verdict(self.name, word, passed, told + why, evidence, gain)


def _promoted(met: Sequence[Met], words: Sequence[Compared]) -> tuple[Word, bool, str]:
    """The word of suites that were all asked to their end and of which none is worse for sure, whether it passes, and why."""
    drops = [
        each.suite.name for each, word in zip(met, words, strict=True) if word.difference.value < -each.suite.margin
    ]
    if drops:
        # What one primary suite gains does not pay for what another seems to lose.
        return _UNSURE, False, f" It looks worse beyond the margin in {', '.join(drops)}."
    said = {word.comparison for word in words}
    if _BETTER in said:
        return _BETTER, True, ""
    if said != {_EQUAL}:
        return _UNSURE, False, ""
    cheaper = all(_cheaper(each) for each in met)
    return _EQUAL, cheaper, " Alike, and cheaper for sure." if cheaper else " Alike, and not cheaper for sure."


def _cheaper(met: Met) -> bool:
    found = cost_difference(met.first, met.second, 1.0 - met.alpha)
    return found is not None and found.high < 0.0


class PromptGuarded:
    """The guarded suites: none may be worse for sure, or look worse beyond its margin.

    Where no suite is primary, nothing else proves a candidate: then each must be no worse than its margin for sure.
    """

    name = "prompt_guarded"
    stages: Sequence[Stage] = ("verify",)

    def judge(self, place: Workplace, asset: Watched, trial: Trial, now: datetime) -> Verdict:  # noqa: ARG002 - the Protocol's
        """The verdict with every suite's figures: all must pass, so no error is shared out among them (R. Berger, 1982)."""
        suites = [suite for suite in suites_of(asset) if suite.role != PRIMARY]
        if trial.incumbent is None or not suites:
            return Verdict(self.name, _UNSURE, True, "No guarded suite to compare in.")
        alone = not primaries(asset)
        met = [meet(place, asset, trial, suite, trial.n_rivals) for suite in suites]
        words = [each.judged() for each in met]
        evidence: dict[str, Any] = {
            "suites": {each.suite.name: each.facts(word) for each, word in zip(met, words, strict=True)}
        }
        refused = [_refused(each, word, alone=alone) for each, word in zip(met, words, strict=True)]
        told = "; ".join(
            each.told(f"{word.text}{f' – {why}' if why else ''}")
            for each, word, why in zip(met, words, refused, strict=True)
        )
        said = {word.comparison for word in words}
        worst = _WORSE if _WORSE in said else _EQUAL if said == {_EQUAL} else _UNSURE
        # Proof may come from elsewhere, as from runs of an agent; it stands in for nothing else that is asked here.
        evidence["lacks_only_proof"] = not any(_refused(*each, alone=False) for each in zip(met, words, strict=True))
        return Verdict(self.name, worst, not any(refused), f"{told}.", evidence)


def _refused(met: Met, word: Compared, *, alone: bool) -> str:
    """Why a guarded suite lets nothing through; empty where it does."""
    if not met.whole:
        return "nothing is proven"
    if word.comparison is _WORSE:
        return "it is worse"
    if word.difference.value < -met.suite.margin:
        return f"it looks worse beyond the margin of {100 * met.suite.margin:g} points"
    if alone and not no_worse(met.first, met.second, met.suite, alpha=met.alpha):
        return f"not proven to be no worse than {100 * met.suite.margin:g} points, and no suite is primary"
    return ""


class PromptCost:
    """What an answer costs, over all suites that were asked: not surely dearer than twice what it costs now."""

    name = "prompt_cost"
    stages: Sequence[Stage] = ("verify",)

    def judge(self, place: Workplace, asset: Watched, trial: Trial, now: datetime) -> Verdict:  # noqa: ARG002 - the Protocol's
        """The verdict; unknown prices refuse nothing, and are told."""
        if trial.incumbent is None:
            return Verdict(self.name, _UNSURE, True, "Nothing runs that it could be compared with.")
        dearer, told, evidence = [], [], {}
        for suite in suites_of(asset):
            met = meet(place, asset, trial, suite, 1)
            found, base = cost_difference(met.first, met.second, _COST_CONFIDENCE), mean_cost(met.second)
            if found is None or base is None:
                continue
            evidence[suite.name] = {"difference_usd": [each / PICO for each in (found.value, found.low, found.high)],
                                    "incumbent_usd": base / PICO}  # fmt: skip
            told.append(f"{suite.name}: {_usd(base + found.value)} an answer against {_usd(base)}")
            dearer.append(found.low > MOST_DEARER * base)
        if not told:
            return Verdict(self.name, _UNSURE, True, "Prices are not known, or answers are too few to compare.")
        worse = any(dearer)
        text = f"{'; '.join(told)}{': more than twice as dear' if worse else ''}."
        return Verdict(self.name, _WORSE if worse else _UNSURE, not worse, text, evidence)


def _usd(pusd: float) -> str:
    told = f"{pusd / PICO:.12f}".rstrip("0").rstrip(".") if pusd < PICO else f"{pusd / PICO:.2f}"
    return f"{told} USD"


def absolute_objectives(asset: Watched) -> dict[str, list[Objective]]:
    """Objectives on the score of a suite, by its name: what even a first version must hold."""
    found: dict[str, list[Objective]] = {}
    for objective in asset.healthy:
        if objective.spec.signal == "eval_score" and objective.bound is not None:
            found.setdefault(str(objective.spec.params["suite"]), []).append(objective)
    return found


def _absolute(gate: str, place: Workplace, asset: Watched, trial: Trial) -> Verdict:
    """Of a first version: nothing runs, so its own score is held against what is declared."""
    owed = absolute_objectives(asset)
    told, passed, evidence = [], True, {}
    for suite in suites_of(asset):
        if suite.name not in owed:
            continue
        met = meet(place, asset, trial, suite, 1)
        if not met.whole:
            told.append(met.told(met.untrusted or "it ended early"))
            passed = False
            continue
        for objective in owed[suite.name]:
            score = mean_score(met.first, objective.confidence)
            holds = score is not None and _holds(score, objective)
            passed = passed and holds
            value = "nothing measured" if score is None else f"{score.value:.1%} ({score.low:.1%} to {score.high:.1%})"
            told.append(met.told(f"{value}, {'holds' if holds else 'misses'} {objective.text()}"))
            evidence[suite.name] = None if score is None else [score.value, score.low, score.high]
    if not told:
        return Verdict(gate, _UNSURE, True, "Nothing runs that it could be compared with, and no bound is declared.")
    return Verdict(gate, _UNSURE, passed, f"Nothing runs to compare with; {'; '.join(told)}.", {"scores": evidence})


def _holds(score: Interval, objective: Objective) -> bool:
    """Whether the score itself is on the healthy side; that its interval is too would ask too much of a first version."""
    bound = float(objective.bound or 0.0)
    return score.value >= bound if objective.operator == ">=" else score.value <= bound

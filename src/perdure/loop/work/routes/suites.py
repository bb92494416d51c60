"""The gate `route_suites`: another model behind a route must not make the prompts worse that it answers.

The route's own suites are asked of both by their messages. The suites of each prompt on the route are asked of the candidate and of the incumbent, with the version of the prompt that answers now:
by the loop's remedies in their own durable step (`Asking`), by `apply` before it moves a pointer. The gate only reads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from perdure.assets.health import Cause, Comparison, Verdict
from perdure.assets.repair import Action, Stage, Trial
from perdure.assets.suite import Suite
from perdure.assets.version import Version
from perdure.core.canonical import content_hash, plain
from perdure.loop.protocols import Remedy, Watched, Workplace
from perdure.loop.work.evals.pairing import scores_of
from perdure.loop.work.prompts.asked import RunSuite
from perdure.loop.work.prompts.attempts import ALPHA
from perdure.loop.work.prompts.paired import compared
from perdure.loop.work.routes.definitions import target_ids
from perdure.loop.work.versions import find_champion, get_version
from perdure.stores.ledger.protocols import Run

ASKED = "compare_routes"
"""Kind of the ledger's runs that are comparisons of two versions of a route by a prompt's suite."""
_LOOKED_AT = 500


@dataclass(frozen=True, slots=True, eq=False)
class RouteSuites:
    """Which suites a route owes, and who asks them.

    Args:
        of: route → the suites of the prompts that it answers.
        run_suite: asks a suite.
        own: route → the suites that test it by itself.
    """

    of: Callable[[str], Sequence[Suite]]
    run_suite: RunSuite
    own: Callable[[str], Sequence[Suite]] = lambda _: ()

    def ask(self, place: Workplace, trial: Trial, step: str, now: datetime) -> None:
        """Ask what a trial's versions owe; nothing where the same models answer. What is recorded is not asked again."""
        if trial.incumbent is None or not other_models(place, trial):
            return
        route = trial.candidate.partition("@")[0]
        for suite, prompt in self.owed(place, route):
            if find_asked(place, route, suite, trial, prompt) is None:
                self._ask(place, suite, prompt, trial, (step, now))

    def owed(self, place: Workplace, route: str) -> list[tuple[Suite, Version | None]]:
        """The suites that a release of the route owes, each with the prompt's version that answers; None: the route's own."""
        of_prompts = [(each, find_champion(place.stores.ledger, each.prompt)) for each in self.of(route)]
        return [*(pair for pair in of_prompts if pair[1] is not None), *((each, None) for each in self.own(route))]

    def _ask(
        self, place: Workplace, suite: Suite, prompt: Version | None, trial: Trial, when: tuple[str, datetime]
    ) -> None:
        step, now = when
        results, partial, version = {}, "", ""
        for route in (str(trial.incumbent), trial.candidate):
            run = f"rte_{content_hash([suite.name, _id(prompt), route, step])[:20]}"
            asked = suite if prompt is None else replace(suite, route=route)
            ran = self.run_suite(place, asked, [prompt or get_version(place.stores.ledger, route)], run, now)
            results[route], partial, version = run, partial or ran.partial, ran.suite_version
        facts = {"suite": suite.name, "suite_version": version, "prompt": _id(prompt), "candidate": trial.candidate,
                 "incumbent": trial.incumbent, "results": results, "partial": partial}  # fmt: skip
        run_id = f"run_{content_hash([*results.values()])[:17]}"
        asset = trial.candidate.partition("@")[0]
        with place.transaction(now, f"ask {suite.name}") as session:
            session.runs.put(Run(run_id, ASKED, asset, "done", now, now, facts=facts, actor=place.actor))


def _id(prompt: Version | None) -> str:
    return "" if prompt is None else prompt.id


def other_models(place: Workplace, trial: Trial) -> bool:
    """Whether the candidate asks other models, or the same in another order, at other shares or with other params."""
    first, second = (get_version(place.stores.ledger, str(each)) for each in (trial.candidate, trial.incumbent))
    return _who(first) != _who(second)


def _who(version: Version) -> list[tuple[str, float, Any]]:
    told = version.definition
    targets = zip(target_ids(told), told["targets"], strict=True)
    of_all = plain(told.get("params") or {})
    return [
        (name, float(each.get("weight", 1.0)), {**of_all, **plain(each.get("params") or {})}) for name, each in targets
    ]


def find_asked(place: Workplace, route: str, suite: Suite, trial: Trial, prompt: Version | None) -> Run | None:
    """The newest whole comparison of a trial with this version of the prompt, else the newest; None: it was not asked."""
    wanted = (suite.name, trial.candidate, trial.incumbent, _id(prompt))
    with place.stores.ledger.read() as session:
        runs = [run for run in session.runs.list(route, limit=_LOOKED_AT) if run.kind == ASKED]
    found = [
        run
        for run in runs
        if tuple(run.facts[each] for each in ("suite", "candidate", "incumbent", "prompt")) == wanted
    ]
    return next((run for run in found if not run.facts["partial"]), None)


class RouteSuitesGate:
    """No suite of the route or of a prompt on it may be worse for sure, or look worse beyond its margin."""

    name = "route_suites"
    stages: Sequence[Stage] = ("verify",)

    def __init__(self, suites: RouteSuites) -> None:
        self._suites = suites

    def judge(self, place: Workplace, asset: Watched, trial: Trial, now: datetime) -> Verdict:  # noqa: ARG002 - the Protocol's
        """The verdict with every suite's figures; one that was not asked to its end lets nothing through."""
        unsure = Comparison.NOT_ENOUGH_EVIDENCE
        if trial.incumbent is None or not other_models(place, trial):
            return Verdict(self.name, unsure, True, "The same models answer.")
        told, refused = [], []
        for suite, prompt in self._suites.owed(place, asset.name):
            run = find_asked(place, asset.name, suite, trial, prompt)
            if run is None:
                told.append(f"{suite.name} was not asked to its end")
                refused.append(suite.name)
                continue
            text, worse = _compared(place, suite, trial, run)
            told.append(f"{run.facts['suite_version']}{f' by {prompt.id}' if prompt else ''}: {text}")
            refused += [suite.name] if worse else []
        if not told:
            return Verdict(self.name, unsure, True, "No suite tests it, or a prompt that it answers.")
        word = Comparison.WORSE if refused else unsure
        return Verdict(self.name, word, not refused, f"{'; '.join(told)}.", {"refused_by": refused})


def _compared(place: Workplace, suite: Suite, trial: Trial, run: Run) -> tuple[str, bool]:
    """What a suite says, and whether that is too bad."""
    subject, results = str(run.facts["prompt"]), run.facts["results"]
    first, second = (
        scores_of(place.stores.results.list_run(results[str(each)]), subject or str(each))
        for each in (trial.candidate, trial.incumbent)
    )
    word = compared(first, second, suite, alpha=ALPHA / trial.n_rivals, partial=False)
    return word.text, word.comparison is Comparison.WORSE or word.difference.value < -suite.margin


class Asking:
    """A remedy of routes whose candidates' suites are asked in its own step."""

    def __init__(self, remedy: Remedy, suites: RouteSuites) -> None:
        self.name = remedy.name
        self.answers = remedy.answers
        self.remedy = remedy
        self.suites = suites

    def propose(self, place: Workplace, asset: Watched, causes: Sequence[Cause], now: datetime) -> Sequence[Action]:
        """As the remedy does."""
        return self.remedy.propose(place, asset, causes, now)

    def repair(self, place: Workplace, asset: Watched, action: Action, step: str, now: datetime) -> Sequence[str]:
        """The remedy's candidates, once their suites were asked."""
        made = self.remedy.repair(place, asset, action, step, now)
        champion = find_champion(place.stores.ledger, asset.name)
        for candidate in made:
            if champion is not None and candidate != champion.id:
                self.suites.ask(place, Trial(candidate, champion.id), step, now)
        return made

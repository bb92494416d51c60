"""Every remedy of prompts: what a person declared, a version of before, a better wording, a variant for another model.

Each asks the suites of what it proposes in its own durable step, and gates read what came of it. Nothing here answers a judge
that drifted, or a server that serves what nobody released: there the loop asks a person.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from perdure.assets.health import Cause
from perdure.assets.repair import ANY, BLAMED, SCHEDULE, Action
from perdure.core.clock import iso, parse_at
from perdure.loop.protocols import Remedy, Watched, Workplace
from perdure.loop.work.candidates import best_of_known
from perdure.loop.work.pending import find_pending, mark_tried, release_of
from perdure.loop.work.prompts.asked import Contest, RunSuite, ask_contest, ask_suites, forget_answers
from perdure.loop.work.prompts.causes import (
    CONTEXT_CHANGED,
    MODEL_SWAPPED,
    PROMPT_CHANGED,
    PROVEN_WORSE,
    swapped_at,
)
from perdure.loop.work.prompts.fitting import past_versions
from perdure.loop.work.prompts.improving import PromptImprove
from perdure.loop.work.prompts.proving import unproven_since
from perdure.loop.work.prompts.tested import UNPROVEN, suites_of
from perdure.loop.work.prompts.variants import PromptVariant
from perdure.loop.work.versions import get_version

BEST = 3
"""Past versions that compete: each asks every suite."""
_COST_S = 1.0


def prompt_remedies(run_suite: RunSuite) -> tuple[Remedy, ...]:
    """The remedies of the kind "prompt"."""
    return (
        PromptDeclared(run_suite),
        PromptProve(run_suite),
        PromptPastVersion(run_suite),
        PromptVariant(run_suite),
        PromptImprove(run_suite),
    )


class PromptDeclared:
    """The version that a person declared and asked to be released."""

    name = "prompt_declared"
    answers: Sequence[str] = (ANY,)

    def __init__(self, run_suite: RunSuite) -> None:
        self._run_suite = run_suite

    def propose(self, place: Workplace, asset: Watched, causes: Sequence[Cause], now: datetime) -> Sequence[Action]:  # noqa: ARG002 - the Protocol's
        """One action while a declared version waits."""
        return release_of(place, asset.name, self.name, "release", lambda: _COST_S)

    def repair(self, place: Workplace, asset: Watched, action: Action, step: str, now: datetime) -> Sequence[str]:
        """The version, once its suites were asked.

        Raises:
            NotFound: the ledger does not know it.
        """
        version = get_version(place.stores.ledger, action.params["version"])
        ask_suites(place, asset, [version.id], step, now, self._run_suite)
        mark_tried(place, asset.name, version.id, step, now)
        return [version.id]


class PromptProve:
    """Asks the suites of a version that was released past them; nothing is released."""

    name = "prompt_prove"
    answers: Sequence[str] = (UNPROVEN,)

    def __init__(self, run_suite: RunSuite) -> None:
        self._run_suite = run_suite

    def propose(self, place: Workplace, asset: Watched, causes: Sequence[Cause], now: datetime) -> Sequence[Action]:  # noqa: ARG002 - the Protocol's
        """One action while what answers is unproven, and its suites were not asked since."""
        found = unproven_since(place, asset) if find_pending(place, asset.name) is None else None
        if found is None or found.worse:
            return []
        against = f" against {found.replaced}" if found.replaced else ""
        params = {"version": found.version, "replaced": found.replaced or ""}
        return [Action(self.name, f"ask the suites of {found.version}{against}", "state", params, _COST_S)]

    def repair(self, place: Workplace, asset: Watched, action: Action, step: str, now: datetime) -> Sequence[str]:
        """No candidate: the signal reads what was asked."""
        contest = Contest([action.params["version"]], action.params["replaced"] or None, step)
        ask_contest(place, asset, contest, now, self._run_suite)
        return []


class PromptPastVersion:
    """Versions that are there already and take the same variables."""

    name = "prompt_past_version"
    answers: Sequence[str] = (PROMPT_CHANGED, MODEL_SWAPPED, CONTEXT_CHANGED, PROVEN_WORSE, BLAMED, SCHEDULE)

    def __init__(self, run_suite: RunSuite) -> None:
        self._run_suite = run_suite

    def propose(self, place: Workplace, asset: Watched, causes: Sequence[Cause], now: datetime) -> Sequence[Action]:  # noqa: ARG002 - the Protocol's
        """One action, where suites could prove another version, or runs of an agent that blames this one."""
        provable = bool(suites_of(asset)) or any(cause.name == BLAMED for cause in causes)
        if not provable or find_pending(place, asset.name) is not None:
            return []
        swapped = swapped_at(causes)
        found = best_of_known(self.name, past_versions(place, asset), _COST_S)
        return [
            Action(each.remedy, each.text, each.effect, {"swapped_at": iso(swapped)} if swapped else {}, each.cost_s)
            for each in found
        ]

    def repair(self, place: Workplace, asset: Watched, action: Action, step: str, now: datetime) -> Sequence[str]:
        """At most three: champions of before, the last one first, then the newest of the others."""
        if "swapped_at" in action.params:
            forget_answers(place, asset, parse_at(action.params["swapped_at"]))
        chosen = [version.id for version in past_versions(place, asset)[:BEST]]
        ask_suites(place, asset, chosen, step, now, self._run_suite)
        return chosen

"""A variant for the model that answers now: words of a version of before, said to that model alone.

Other models keep what they were told, so that a route that goes back to one finds its words unchanged.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from perdure.assets.health import Cause
from perdure.assets.repair import Action
from perdure.assets.version import Version
from perdure.core.clock import iso, parse_at
from perdure.loop.protocols import Watched, Workplace
from perdure.loop.work.making import make_version
from perdure.loop.work.pending import find_pending
from perdure.loop.work.prompts.asked import RunSuite, ask_suites, forget_answers
from perdure.loop.work.prompts.causes import MODEL_SWAPPED, swapped_at
from perdure.loop.work.prompts.fitting import past_versions
from perdure.loop.work.prompts.tested import suites_of
from perdure.loop.work.routes.definitions import target_ids
from perdure.loop.work.versions import find_champion, get_version

_COST_S = 2.0


class PromptVariant:
    """The champion with a variant for the route's first model: the words of the version that answered before."""

    name = "prompt_variant"
    answers: Sequence[str] = (MODEL_SWAPPED,)

    def __init__(self, run_suite: RunSuite) -> None:
        self._run_suite = run_suite

    def propose(self, place: Workplace, asset: Watched, causes: Sequence[Cause], now: datetime) -> Sequence[Action]:  # noqa: ARG002 - the Protocol's
        """One action, where a version of before has other words for this model."""
        champion = find_champion(place.stores.ledger, asset.name)
        if champion is None or not suites_of(asset) or find_pending(place, asset.name) is not None:
            return []
        route = find_champion(place.stores.ledger, str(champion.definition["route"]))
        before = next((each for each in past_versions(place, asset) if _words(each) != _words(champion)), None)
        if route is None or before is None:
            return []
        model = target_ids(route.definition)[0]
        if champion.definition.get("variants", {}).get(model, {}).get("messages") == _words(before):
            return []
        swapped = swapped_at(causes)
        params = {"of": champion.id, "words": before.id, "model": model}
        params |= {"swapped_at": iso(swapped)} if swapped else {}
        return [Action(self.name, f"tell {model} what {before.id} says", "candidate", params, _COST_S)]

    def repair(self, place: Workplace, asset: Watched, action: Action, step: str, now: datetime) -> Sequence[str]:
        """The version, its suites asked.

        Raises:
            NotFound: a version that it is made from is not known.
        """
        if "swapped_at" in action.params:
            forget_answers(place, asset, parse_at(action.params["swapped_at"]))
        champion, before = (get_version(place.stores.ledger, action.params[each]) for each in ("of", "words"))
        told = {"messages": _words(before), "params": before.definition["params"]}
        variants = {**champion.definition.get("variants", {}), action.params["model"]: told}
        lineage = {"remedy": self.name, "parent": champion.id}
        definition = {**champion.definition, "variants": variants}
        made = make_version(place, asset.name, "prompt", definition, lineage, now).id
        ask_suites(place, asset, [made], step, now, self._run_suite)
        return [made]


def _words(version: Version) -> Any:
    return version.definition["messages"]

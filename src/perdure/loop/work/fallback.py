"""The remedy of last resort: a constant, or one a category, where what runs cannot be loaded and nothing else can."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial

from perdure.assets.health import Cause
from perdure.assets.model import Model
from perdure.assets.repair import Action
from perdure.engines.training.medians import fit_medians
from perdure.loop.protocols import Watched, Workplace
from perdure.loop.work.candidates import OPERATIONAL, champions, fits_contract, is_allowed, once
from perdure.loop.work.datasets import prepare_window
from perdure.loop.work.scoring import why_not_loadable
from perdure.loop.work.training import Recipe, train_on
from perdure.loop.work.versions import find_champion

_COST_S = 0.5


class FallbackDefault:
    """A version that predicts the median of the training labels, overall or a category."""

    name = "fallback_default"
    answers: Sequence[str] = (OPERATIONAL,)

    def propose(self, place: Workplace, asset: Watched, causes: Sequence[Cause], now: datetime) -> Sequence[Action]:  # noqa: ARG002 - the Protocol's
        """One action, where something operational was found, and neither the champion nor any before it loads.

        The blobs are read only then.
        """
        if not is_allowed(asset, self.name) or self.answers[0] not in [cause.name for cause in causes]:
            return []
        model: type[Model] = asset.declaration
        champion = find_champion(place.stores.ledger, asset.name)
        if champion is None or any(
            fits_contract(model, version) and not why_not_loadable(place, version)
            for version in champions(place, asset.name)
        ):
            return []
        return [Action(self.name, "predict the median of the training labels", cost_s=_COST_S)]

    def repair(self, place: Workplace, asset: Watched, action: Action, step: str, now: datetime) -> Sequence[str]:
        """The version that was made.

        Raises:
            NotReady: no labelled rows.
        """
        model: type[Model] = asset.declaration

        def make(run_id: str) -> str:
            dataset = prepare_window(place, model, now, None, widest=None)
            recipe = Recipe(remedy=self.name, fitted=partial(fit_medians, task=model.task), run_id=run_id)
            return train_on(place, model, dataset, recipe, now).version.id

        return once(place, asset, action, step, make)

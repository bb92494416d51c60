"""Remedies that fit: on all rows, on the newest windows, or from where the champion left off.

The newest labelled rows (`Model.holdout`) are kept from every fit, and the candidates of one repair share
one prepared table. With `Policy.training == "stateful"` a fit goes on from the champion and takes only rows
that became known since; each row is used once in a line of versions, by its key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from perdure.assets.health import Cause
from perdure.assets.model import Model
from perdure.assets.repair import BLAMED, SCHEDULE, Action
from perdure.assets.version import Version
from perdure.core.units import days, duration_text
from perdure.engines.features import FeaturePlan
from perdure.loop.protocols import Watched, Workplace
from perdure.loop.work.candidates import (
    CONCEPT_DRIFT,
    DATA_DRIFT,
    champion_to_go_on_from,
    cost_of,
    is_allowed,
    once,
    widest_window,
)
from perdure.loop.work.datasets import Dataset, prepare_new_rows, prepare_window, used_keys
from perdure.loop.work.scoring import load
from perdure.loop.work.training import Recipe, train_on
from perdure.loop.work.versions import get_version


class RetrainFull:
    """Fits anew on all rows."""

    name = "retrain_full"
    answers: Sequence[str] = (CONCEPT_DRIFT, DATA_DRIFT, BLAMED, SCHEDULE)

    def propose(self, place: Workplace, asset: Watched, causes: Sequence[Cause], now: datetime) -> Sequence[Action]:  # noqa: ARG002 - the Protocol's
        """One action; under stateful training only where there is nothing to go on from."""
        if not is_allowed(asset, self.name) or (_is_stateful(asset) and champion_to_go_on_from(place, asset)):
            return []
        return [Action(self.name, "fit on all rows", cost_s=cost_of(place, asset, self.name))]

    def repair(self, place: Workplace, asset: Watched, action: Action, step: str, now: datetime) -> Sequence[str]:
        """The version that was fitted.

        Raises:
            NotReady: too few labelled rows.
            BadModel: the model's `fit` failed.
        """

        def make(run_id: str) -> str:
            dataset = prepare_window(place, asset.declaration, now, None, widest=None)
            return _fitted(place, asset, dataset, Recipe(remedy=self.name, run_id=run_id), now)

        return once(place, asset, action, step, make)


class RetrainRecent:
    """Fits anew on the rows of each of `Model.recent`."""

    name = "retrain_recent"
    answers: Sequence[str] = (CONCEPT_DRIFT, DATA_DRIFT, BLAMED, SCHEDULE)

    def propose(self, place: Workplace, asset: Watched, causes: Sequence[Cause], now: datetime) -> Sequence[Action]:  # noqa: ARG002 - the Protocol's
        """An action a window; none under stateful training."""
        if not is_allowed(asset, self.name) or _is_stateful(asset):
            return []
        cost_s = cost_of(place, asset, self.name)
        model: type[Model] = asset.declaration
        return [
            Action(
                self.name, f"fit on the newest {duration_text(window)}", params={"days": _days(window)}, cost_s=cost_s
            )
            for window in model.recent
        ]

    def repair(self, place: Workplace, asset: Watched, action: Action, step: str, now: datetime) -> Sequence[str]:
        """The version that was fitted.

        Raises:
            NotReady: too few labelled rows in the window.
            BadModel: the model's `fit` failed.
        """

        def make(run_id: str) -> str:
            window = days(action.params["days"])
            dataset = prepare_window(place, asset.declaration, now, window, widest=widest_window(asset))
            recipe = Recipe(remedy=self.name, remedy_params=action.params, run_id=run_id)
            return _fitted(place, asset, dataset, recipe, now)

        return once(place, asset, action, step, make)


class WarmStart:
    """Goes on from the champion's own model, which `fit` gets as `warm_start`.

    Stateless, on the rows of the shortest of `Model.recent`; stateful, on what became known since the
    champion's watermark, and the candidate's own watermark is where the holdout begins.
    """

    name = "warm_start"
    answers: Sequence[str] = (CONCEPT_DRIFT, DATA_DRIFT, BLAMED, SCHEDULE)

    def propose(self, place: Workplace, asset: Watched, causes: Sequence[Cause], now: datetime) -> Sequence[Action]:  # noqa: ARG002 - the Protocol's
        """One action, where there is a champion of the declared contract and views."""
        champion = champion_to_go_on_from(place, asset) if is_allowed(asset, self.name) else None
        if champion is None:
            return []
        model: type[Model] = asset.declaration
        params: dict[str, Any] = {"version": champion.id}
        if _is_stateful(asset):
            text = f"go on from {champion.id} with the rows that became known since"
        elif model.recent:
            window = min(model.recent)
            params["days"] = _days(window)
            text = f"go on from {champion.id} with the newest {duration_text(window)}"
        else:
            text = f"go on from {champion.id} with all rows"
        return [Action(self.name, text, params=params, cost_s=cost_of(place, asset, self.name))]

    def repair(self, place: Workplace, asset: Watched, action: Action, step: str, now: datetime) -> Sequence[str]:
        """The version that was fitted.

        Raises:
            NotReady: too few labelled rows that are new.
            NotFound, Corrupt: the version to go on from cannot be loaded.
            BadModel: the model's `fit` failed.
        """

        def make(run_id: str) -> str:
            base = get_version(place.stores.ledger, action.params["version"])
            dataset = self._dataset(place, asset, base, action, now)
            recipe = Recipe(
                remedy=self.name,
                remedy_params=action.params,
                warm_start=base,
                native=load(place, base).native(),
                run_id=run_id,
            )
            return _fitted(place, asset, dataset, recipe, now)

        return once(place, asset, action, step, make)

    def _dataset(self, place: Workplace, asset: Watched, base: Version, action: Action, now: datetime) -> Dataset:
        model: type[Model] = asset.declaration
        if _is_stateful(asset):
            used = used_keys(place, base, partial(get_version, place.stores.ledger))
            return prepare_new_rows(place, model, now, champion=base, used=used)
        window = days(action.params["days"]) if "days" in action.params else None
        dataset = prepare_window(place, model, now, window, widest=widest_window(asset))
        # The model that is gone on from knows categories by its own codes.
        return replace(dataset, plan=FeaturePlan.from_definition(base.definition))


def _fitted(place: Workplace, asset: Watched, dataset: Dataset, recipe: Recipe, now: datetime) -> str:
    return train_on(place, asset.declaration, dataset, recipe, now).version.id


def _is_stateful(asset: Watched) -> bool:
    return asset.policy.training == "stateful"


def _days(window: timedelta) -> float:
    n = window / days(1)
    return int(n) if n == int(n) else n

"""Makes versions ready to answer: loads their feature plans and predictors, and tries each once.

The watcher loads every version that a new routing table names before that table is put in force, so
a request never waits for a file and never meets a version that cannot answer. A model with a version
that cannot be loaded is held back alone: it keeps the arms of an older table, if those can be loaded.

A pickle runs whatever code it holds, so it is opened only when the ledger told its digest. The table on
disk has a checksum but no seal, and may name any blob: what the ledger does not vouch for is opened as
ONNX or LightGBM's text, which hold no code, or not at all.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from perdure.assets.fields import contract_definition
from perdure.assets.model import Model
from perdure.assets.version import Version
from perdure.core.canonical import content_hash
from perdure.core.errors import BadModel, UntrustedArtifact
from perdure.core.ids import Digest
from perdure.engines.explain.contributions import contributions
from perdure.engines.features import FeaturePlan
from perdure.engines.training import load_predictor
from perdure.serve.boundary import contained
from perdure.serve.routing import RoutingTable, join_tables
from perdure.serve.servable import Servable, ServingTable, unvouched
from perdure.stores.blobs.protocols import Blobs


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """What came of loading a table."""

    serving: ServingTable
    """Of each model the newest arms that could be loaded; a model of which none could is not in it."""
    failures: Mapping[str, Exception]
    """Why the newest arms of a model are not the ones in `serving`, by model."""


class Loader:
    """Loads versions, and keeps those of the table in force so that a move loads only what is new."""

    def __init__(self, models: Mapping[str, type[Model]], blobs: Blobs) -> None:
        self._contracts = {name: contract_definition(model.contract) for name, model in models.items()}
        self._blobs = blobs
        self._kept: dict[str, Servable] = {}

    def load(self, table: RoutingTable, older: Sequence[RoutingTable] = (), *, known: Collection[str]) -> Loaded:
        """Every model of `table`, ready, at the generation of `table`.

        What was loaded beside a failure is kept for the next try. Never raises: whatever loading one
        model meets is its failure, which stops no other.

        Args:
            table: what is to be served.
            older: where the arms of a model are taken from when its versions in `table` cannot be
                loaded; the first in which all of them can.
            known: digests of artifacts that the ledger holds now; a pickle of any other is not opened.
        """
        failures: dict[str, Exception] = {}
        chosen: dict[str, RoutingTable] = {}
        for model in table.routes:
            for candidate in (each for each in (table, *older) if model in each.routes):
                failure = contained(partial(self._keep_all, candidate, model, known), _as_it_is)
                if failure is None:
                    chosen[model] = candidate
                    break
                failures.setdefault(model, failure)
        served = join_tables(chosen, table.generation)
        named = served.versions.keys() | table.versions.keys()
        self._kept = {name: servable for name, servable in self._kept.items() if name in named}
        return Loaded(ServingTable(served, {name: self._kept[name] for name in served.versions}), failures)

    def _keep_all(self, table: RoutingTable, model: str, known: Collection[str]) -> None:
        """Load every version of one model.

        Raises:
            BadModel: a version was trained under another contract than the code declares now.
            NotFound, Corrupt: a blob is not there, or is not what it was.
            UntrustedArtifact: a version runs from a pickle that the ledger does not vouch for.
            Exception: an artifact that cannot be loaded, or does not answer.
        """
        for arm in table.routes[model].every_arm():
            self._keep(table.versions[arm.version], known)

    def _keep(self, version: Version, known: Collection[str]) -> None:
        """Load a version, unless it is here already and the ledger vouched for it then or cannot now either."""
        trusted = version.artifacts.get("native") in known
        kept = self._kept.get(version.id)
        if kept is None or kept.version != version or (trusted and not kept.trusted):
            self._kept[version.id] = self._load(version, trusted=trusted)

    def _load(self, version: Version, *, trusted: bool) -> Servable:
        _check_contract(version, self._contracts[version.asset])
        needed = {str(version.definition["runtime"]), "native"} & version.artifacts.keys()
        artifacts = {role: self._blobs.get(Digest(version.artifacts[role])) for role in needed}
        try:
            predictor = load_predictor(version.definition, artifacts, trusted=trusted, explainer=contributions)
        except UntrustedArtifact as error:
            raise unvouched(version) from error
        plan = FeaturePlan.from_definition(version.definition)
        predictor.predict(np.full((1, len(plan.features)), np.nan, dtype=np.float32))
        return Servable(version, plan, predictor, tuple(view.name for view in plan.stored_views), trusted)


def _as_it_is(error: Exception) -> Exception:
    return error


def _check_contract(version: Version, declared: Mapping[str, Any]) -> None:
    pinned, present = version.definition["contract"], content_hash(declared)
    if pinned["hash"] != present:
        raise BadModel(
            f"Version {version.id} was trained under contract {pinned['name']} {pinned['hash'][:12]}, "
            f"but the code declares {declared['name']} {present[:12]}.",
            hint=f"Train {version.asset} under the present contract, or run the code that it was trained with.",
            version=version.id,
        )

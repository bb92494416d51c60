"""A version made ready to answer: its feature plan and predictor loaded, and tried once.

The watcher loads every version that a new routing table names before that table is put in force, so
a request never waits for a file and never meets a version that cannot answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from perdure.assets.fields import contract_definition
from perdure.assets.model import Model
from perdure.assets.version import Version
from perdure.core.canonical import content_hash
from perdure.core.errors import BadModel
from perdure.core.ids import Digest
from perdure.engines.explain.contributions import contributions, scale_of
from perdure.engines.features import FeaturePlan
from perdure.engines.training import Predictor, load_predictor
from perdure.serve.online_reader import OnlineReader
from perdure.serve.routing import RoutingTable
from perdure.stores.blobs.protocols import Blobs

_STATUS_WORDS = ("fresh", "missing", "expired", "not_yet_available")


@dataclass(frozen=True, slots=True)
class Scored:
    """What one version made of some rows, in their order."""

    x: NDArray[np.float32]
    """Encoded features, shape (n, d)."""
    statuses: Sequence[bytes]
    """A byte a stored view, a row each."""
    values: Sequence[float]


class Explanation(msgspec.Struct):
    """Contributions of the features and the base: together they sum to the prediction on `scale`.

    `scale` is `prediction`, `log_odds` (a classifier) or `log` (a Poisson, gamma or Tweedie model).
    """

    base: float
    contributions: dict[str, float]
    scale: str


@dataclass(frozen=True, slots=True, eq=False)
class Servable:
    """A loaded version of a model."""

    version: Version
    plan: FeaturePlan
    predictor: Predictor
    views: tuple[str, ...]
    """Names of the stored views, in the order of the status bytes."""

    def explain(self, x: NDArray[np.float32]) -> list[Explanation]:
        """Contributions of each feature for each row.

        Raises:
            Refused: this kind of model has no exact contributions.
        """
        values, base = self.predictor.explain(x)
        names, scale = [feature.name for feature in self.plan.features], scale_of(self.predictor.native())
        return [
            Explanation(float(at_base), dict(zip(names, row.tolist(), strict=True)), scale)
            for row, at_base in zip(values, base, strict=True)
        ]

    def score(self, rows: Sequence[msgspec.Struct], online: OnlineReader, as_of_us: int) -> Scored:
        """Features as of an instant and the predictions from them."""
        found = online.read(self.plan.lookups(rows)) if self.views else {}
        features = self.plan.online(rows, found, as_of_us)
        return Scored(features.x, features.status, self.predictor.predict(features.x).tolist())

    def status_words(self, status: bytes) -> dict[str, str] | None:
        """The views that were not fresh, in words; None when all were."""
        if not any(status):
            return None
        return {view: _STATUS_WORDS[code] for view, code in zip(self.views, status, strict=True) if code}


@dataclass(frozen=True, slots=True, eq=False)
class ServingTable:
    """A routing table with all its versions loaded."""

    table: RoutingTable
    servables: Mapping[str, Servable]


class Loader:
    """Loads versions, and keeps those of the table in force so that a move loads only what is new."""

    def __init__(self, models: Mapping[str, type[Model]], blobs: Blobs) -> None:
        self._contracts = {name: contract_definition(model.contract) for name, model in models.items()}
        self._blobs = blobs
        self._kept: dict[str, Servable] = {}

    def load(self, table: RoutingTable) -> ServingTable:
        """Every version of `table`, ready.

        What was loaded before a failure is kept for the next try.

        Raises:
            BadModel: a version was trained under another contract than the code declares now.
            NotFound, Corrupt: a blob is not there, or is not what it was.
            PerdureError: an artifact that cannot be loaded.
        """
        for name, version in table.versions.items():
            if name not in self._kept:
                self._kept[name] = self._load(version)
        self._kept = {name: self._kept[name] for name in table.versions}
        return ServingTable(table, dict(self._kept))

    def _load(self, version: Version) -> Servable:
        _check_contract(version, self._contracts[version.asset])
        needed = {str(version.definition["runtime"]), "native"} & version.artifacts.keys()
        artifacts = {role: self._blobs.get(Digest(version.artifacts[role])) for role in needed}
        # The digests come from the ledger, or from the table that serve wrote from the ledger.
        predictor = load_predictor(version.definition, artifacts, trusted=True, explainer=contributions)
        plan = FeaturePlan.from_definition(version.definition)
        predictor.predict(np.full((1, len(plan.features)), np.nan, dtype=np.float32))
        return Servable(version, plan, predictor, tuple(view.name for view in plan.stored_views))


def _check_contract(version: Version, declared: Mapping[str, Any]) -> None:
    pinned, present = version.definition["contract"], content_hash(declared)
    if pinned["hash"] != present:
        raise BadModel(
            f"Version {version.id} was trained under contract {pinned['name']} {pinned['hash'][:12]}, "
            f"but the code declares {declared['name']} {present[:12]}.",
            hint=f"Train {version.asset} under the present contract, or run the code that it was trained with.",
            version=version.id,
        )

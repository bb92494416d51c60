"""A version made ready to answer: its feature plan and predictor loaded, and tried once.

The watcher loads every version that a new routing table names before that table is put in force, so
a request never waits for a file and never meets a version that cannot answer.

A pickle runs whatever code it holds, so it is opened only when the ledger told its digest. The table on
disk has a checksum but no seal, and may name any blob: what the ledger does not vouch for is opened as
ONNX or LightGBM's text, which hold no code, or not at all.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from perdure.assets.fields import contract_definition
from perdure.assets.model import Model
from perdure.assets.version import Version
from perdure.core.canonical import content_hash
from perdure.core.errors import BadModel, UntrustedArtifact
from perdure.core.ids import Digest
from perdure.engines.explain.contributions import contributions, scale_of
from perdure.engines.features import STATUS_WORDS, FeaturePlan
from perdure.engines.training import Predictor, load_predictor
from perdure.serve.online_reader import OnlineReader
from perdure.serve.routing import RoutingTable, version_ids
from perdure.stores.blobs.protocols import Blobs


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
    trusted: bool = True
    """Whether the ledger vouched for its artifacts."""

    def explain(self, x: NDArray[np.float32]) -> list[Explanation]:
        """Contributions of each feature for each row.

        Raises:
            Refused: this kind of model has no exact contributions.
            UntrustedArtifact: they need a pickle, and the version was loaded without the ledger.
        """
        try:
            values, base = self.predictor.explain(x)
        except UntrustedArtifact as error:
            raise _unvouched(self.version) from error
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
        return {view: STATUS_WORDS[code] for view, code in zip(self.views, status, strict=True) if code}


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

    def load(self, table: RoutingTable, *, known: Collection[str]) -> ServingTable:
        """Every version of `table`, ready.

        What was loaded before a failure is kept for the next try.

        Args:
            table: what is to be served.
            known: digests of artifacts that the ledger holds now; a pickle of any other is not opened.

        Raises:
            BadModel: a version was trained under another contract than the code declares now.
            NotFound, Corrupt: a blob is not there, or is not what it was.
            UntrustedArtifact: a version runs from a pickle that the ledger does not vouch for.
            PerdureError: an artifact that cannot be loaded.
        """
        for version in table.versions.values():
            self._keep(version, known)
        self._kept = {name: self._kept[name] for name in table.versions}
        return ServingTable(table, dict(self._kept))

    def load_allowed(
        self, table: RoutingTable, *, known: Collection[str]
    ) -> tuple[ServingTable, Mapping[str, UntrustedArtifact]]:
        """As `load`, but without the models that need a pickle which may not be opened; and why, by model.

        Raises: as `load`, but for UntrustedArtifact.
        """
        left_out: dict[str, UntrustedArtifact] = {}
        for version in table.versions.values():
            try:
                self._keep(version, known)
            except UntrustedArtifact as error:
                left_out[version.asset] = error
        routes = {model: route for model, route in table.routes.items() if model not in left_out}
        versions = {name: table.versions[name] for name in version_ids(routes)}
        return self.load(RoutingTable(table.generation, routes, versions), known=known), left_out

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
            raise _unvouched(version) from error
        plan = FeaturePlan.from_definition(version.definition)
        predictor.predict(np.full((1, len(plan.features)), np.nan, dtype=np.float32))
        return Servable(version, plan, predictor, tuple(view.name for view in plan.stored_views), trusted)


def _unvouched(version: Version) -> UntrustedArtifact:
    return UntrustedArtifact(
        f"Version {version.id} needs a pickle whose digest the ledger has not confirmed; it is not opened.",
        hint="The routing table came from disk: bring the ledger back, and the version is loaded by itself.",
        version=version.id,
    )


def _check_contract(version: Version, declared: Mapping[str, Any]) -> None:
    pinned, present = version.definition["contract"], content_hash(declared)
    if pinned["hash"] != present:
        raise BadModel(
            f"Version {version.id} was trained under contract {pinned['name']} {pinned['hash'][:12]}, "
            f"but the code declares {declared['name']} {present[:12]}.",
            hint=f"Train {version.asset} under the present contract, or run the code that it was trained with.",
            version=version.id,
        )

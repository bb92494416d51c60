"""Makes versions of models ready to answer: loads their feature plans and predictors, and tries each once.

A pickle runs whatever code it holds, so it is opened only when the ledger told its digest. What the ledger does
not vouch for is opened as ONNX or LightGBM's text, which hold no code, or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from perdure.assets.fields import contract_definition
from perdure.assets.model import Model
from perdure.assets.version import Version
from perdure.core.canonical import content_hash
from perdure.core.errors import BadModel, UntrustedArtifact, not_found
from perdure.core.ids import Digest
from perdure.engines.explain.contributions import contributions
from perdure.engines.features import FeaturePlan
from perdure.engines.training import load_predictor
from perdure.serve.servable import Servable, unvouched
from perdure.stores.blobs.protocols import Blobs


class ModelLoader:
    """Loads versions of the declared models."""

    def __init__(self, models: Mapping[str, type[Model]], blobs: Blobs) -> None:
        self._contracts = {name: contract_definition(model.contract) for name, model in models.items()}
        self._blobs = blobs

    def load(self, version: Version, *, trusted: bool) -> Servable:
        """The version with its plan and predictor.

        Raises:
            NotFound: its asset is no declared model, or a blob is not there.
            BadModel: it was trained under another contract than the code declares now.
            Corrupt: a blob is not what it was.
            UntrustedArtifact: it runs from a pickle that the ledger does not vouch for.
            Exception: an artifact that cannot be loaded, or does not answer.
        """
        if version.asset not in self._contracts:
            raise not_found("model", version.asset, self._contracts)
        _check_contract(version, self._contracts[version.asset])
        needed = {str(version.definition["runtime"]), "native"} & version.artifacts.keys()
        artifacts = {role: self._blobs.get(Digest(version.artifacts[role])) for role in needed}
        try:
            predictor = load_predictor(version.definition, artifacts, trusted=trusted, explainer=contributions)
        except UntrustedArtifact as error:
            raise unvouched(version) from error
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

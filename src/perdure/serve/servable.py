"""A version of a model ready to answer: its feature plan and predictor. `model_loading` makes it, requests score by it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from perdure.assets.version import Version
from perdure.core.errors import UntrustedArtifact
from perdure.engines.explain.contributions import scale_of
from perdure.engines.features import STATUS_WORDS, FeaturePlan
from perdure.engines.training import Predictor
from perdure.serve.online_reader import OnlineReader


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
            UntrustedArtifact: they need a pickle, and the version was loaded without the ledger.
        """
        try:
            values, base = self.predictor.explain(x)
        except UntrustedArtifact as error:
            raise unvouched(self.version) from error
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


def unvouched(version: Version) -> UntrustedArtifact:
    """The error for a version that needs a pickle which may not be opened."""
    return UntrustedArtifact(
        f"Version {version.id} needs a pickle whose digest the ledger has not confirmed; it is not opened.",
        hint="The routing table came from disk: bring the ledger back, and the version is loaded by itself.",
        version=version.id,
    )

"""What may be behind a model's ill health: the causes of the kind "model".

`model_causes` gives them to compose. They are ordered by the harm of mistaking one for another: a feed, a label
or a server that is broken always outweighs drift, because a retrained model would learn the fault.

| cause | what speaks for it | weight when it is real |
|---|---|---|
| `broken_feed` | incidents and objectives of sources; features that went missing or were converted | 0.86 to 1 |
| `label_trouble` | labels that stopped, are late, orphaned, corrected, converted, constant | 0.88 to 0.97 |
| `skew` | served vectors that differ from their recomputation | 0.87 |
| `operational` | answers without a value, all alike, or by a version that no pointer names; latency; lost captures | 0.86 to 0.9 |
| `concept_drift` | the error rose more than the inputs explain | up to 0.8 |
| `data_drift` | the inputs explain the rise of the error | up to 0.8 |
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from perdure.assets.health import Cause as RankedCause
from perdure.assets.health import Finding, State
from perdure.loop.protocols import Cause, Watched, Workplace
from perdure.loop.work.causes_drift import CONCEPT_DRIFT, DATA_DRIFT, ConceptDrift, DataDrift
from perdure.loop.work.causes_feed import BROKEN_FEED, BrokenFeed
from perdure.loop.work.causes_labels import LABEL_TROUBLE, LabelTrouble
from perdure.loop.work.causes_operations import OPERATIONAL, Operational
from perdure.loop.work.recent import Recents, signal_of

SKEW = "skew"

__all__ = [
    "BROKEN_FEED",
    "CONCEPT_DRIFT",
    "DATA_DRIFT",
    "LABEL_TROUBLE",
    "OPERATIONAL",
    "SKEW",
    "Skew",
    "model_causes",
]


def model_causes() -> tuple[Cause, ...]:
    """The causes of the kind "model". They share what they read of the asset that is being diagnosed."""
    recents = Recents()
    return (
        BrokenFeed(recents),
        LabelTrouble(recents),
        Skew(),
        Operational(recents),
        ConceptDrift(recents),
        DataDrift(recents),
    )


class Skew:
    """Served features differ from what the offline engine makes of the same rows."""

    name = SKEW

    def weigh(
        self,
        place: Workplace,  # noqa: ARG002 - the Protocol's
        asset: Watched,  # noqa: ARG002 - the Protocol's
        findings: Sequence[Finding],
        now: datetime,  # noqa: ARG002 - the Protocol's
    ) -> RankedCause | None:
        """0.87 where the newest skew reading is broken; None else."""
        readings = [
            finding.reading
            for finding in findings
            if signal_of(finding.reading.signal) == "skew" and finding.state is State.BROKEN
        ]
        if not readings:
            return None
        worst = max(readings, key=lambda reading: (reading.value or 0.0, reading.version))
        features = dict(sorted(worst.facts.get("by_feature", {}).items(), key=lambda each: (-each[1], each[0])))
        evidence = {
            "version": worst.version,
            "ratio": worst.value,
            "n_checked": worst.n,
            "n_mismatched": worst.facts.get("n_mismatched", 0),
            "by_feature": features,
        }
        listed = ", ".join(f"{name} in {n}" for name, n in list(features.items())[:3])
        text = f"{evidence['n_mismatched']} of {worst.n} served rows differ from their offline recomputation" + (
            f": {listed}." if listed else "."
        )
        return RankedCause(self.name, 0.87, evidence, text)

"""What may be behind a judge's ill health: the causes of the kind "judge".

| cause | what speaks for it | weight when it is real |
|---|---|---|
| `rubric_disputed` | people disagree with one another about as often as with the judge | 0.95 |
| `model_swapped` | another model's name answers the anchor, or it is judged otherwise than when the judge was calibrated | 0.9, up to 0.88 |
| `label_shift` | the judge says of its anchor what it said, and disagrees with labels that are newer than its calibration | 0.7 |
| `criteria_moved` | the same, of labels that it was calibrated on already: its figures are corrected, it is not | 0.7 |

People come first: no judge can be better than they are at one, and its repair would teach it one of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from perdure.assets.health import Cause as RankedCause
from perdure.assets.health import Finding, State
from perdure.assets.version import Version
from perdure.engines.judges.calibration import people_agreement
from perdure.engines.judges.drift import Shift, shift_of
from perdure.loop.protocols import Cause, Watched, Workplace
from perdure.loop.work.judges.labels import judge_of, read_labelled
from perdure.loop.work.judges.signals import FEWEST, fresh_labels
from perdure.loop.work.judges.state import find
from perdure.loop.work.versions import find_champion

MODEL_SWAPPED = "model_swapped"
LABEL_SHIFT = "label_shift"
CRITERIA_MOVED = "criteria_moved"
RUBRIC_DISPUTED = "rubric_disputed"
DISPUTED_KAPPA = 0.4
"""People who agree less than this beyond chance do not mean the same by the rubric. Landis and Koch (1977): "fair"."""
_SURE = 0.95
_MOVED = 0.02
"""Flips of fewer cases for sure are a model's own dice."""


def judge_causes() -> tuple[Cause, ...]:
    """The causes of the kind "judge"."""
    return (RubricDisputed(), ModelSwapped(), Disagrees(LABEL_SHIFT), Disagrees(CRITERIA_MOVED))


def _sick(findings: Sequence[Finding]) -> bool:
    return any(finding.state is State.BROKEN for finding in findings)


def _shift(place: Workplace, asset: Watched, champion: Version | None) -> Shift | None:
    if champion is None:
        return None
    before, now = (find(place, asset.name, champion.id, what) for what in ("calibration", "check"))
    if before is None or now is None or now.at <= before.at:
        return None
    return shift_of(before.judgements, now.judgements, _SURE)


def _moved(found: Shift) -> bool:
    return found.flips.low > _MOVED or found.p < 1.0 - _SURE


class RubricDisputed:
    """People do not agree among themselves."""

    name = RUBRIC_DISPUTED

    def weigh(self, place: Workplace, asset: Watched, findings: Sequence[Finding], now: datetime) -> RankedCause | None:
        """0.95 where two people's kappa on at least 10 cases is below 0.4; None else."""
        if not _sick(findings):
            return None
        labelled = read_labelled(place, judge_of(asset), now)
        double = [each for each in labelled if len(each.said) > 1]
        found = people_agreement(double)
        if found is None or len(double) < FEWEST:
            return None
        share, kappa = found
        if (kappa if kappa is not None else 1.0) >= DISPUTED_KAPPA:
            return None
        evidence: dict[str, Any] = {"n_cases": len(double), "agreement": share.value, "kappa": kappa}
        text = (
            f"Two people agree on {share.value:.0%} of {len(double)} cases, little more than by chance (kappa "
            f"{kappa:.2f}): the rubric is not clear."
        )
        return RankedCause(self.name, 0.95, evidence, text)


class ModelSwapped:
    """What answers is another model than the one that was calibrated."""

    name = MODEL_SWAPPED

    def weigh(self, place: Workplace, asset: Watched, findings: Sequence[Finding], now: datetime) -> RankedCause | None:  # noqa: ARG002 - the Protocol's
        """0.9 where its name is another, up to 0.88 where only what it says of the anchor is; None else."""
        found = _shift(place, asset, find_champion(place.stores.ledger, asset.name)) if _sick(findings) else None
        if found is None or not (found.renamed or _moved(found)):
            return None
        moved = (
            f"{found.flips.value:.0%} of {found.flips.n} anchor cases are judged otherwise than when it was calibrated"
        )
        evidence: dict[str, Any] = {
            "flips": found.flips.value,
            "n_kinder": found.n_kinder,
            "n_stricter": found.n_stricter,
            "models_before": list(found.models_before),
            "models_now": list(found.models_now),
        }
        if found.renamed:
            names = f"{', '.join(found.models_now)} answers in place of {', '.join(found.models_before)}"
            return RankedCause(self.name, 0.9, evidence, f"{names}; {moved}.")
        weight = round(min(0.88, 0.75 + found.flips.low), 4)
        return RankedCause(self.name, weight, evidence, f"The model changed behind its name: {moved}.")


class Disagrees:
    """What is judged, or what people want, is not what it was calibrated on; or it is by now, and that did not help.

    Args:
        name: `label_shift` while its calibration is older than the window of the labels, `criteria_moved` after.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def weigh(self, place: Workplace, asset: Watched, findings: Sequence[Finding], now: datetime) -> RankedCause | None:
        """0.7 where the anchor is judged as it was and fresh labels are not agreed with; None else."""
        sick = [finding.reading for finding in findings if finding.state is State.BROKEN]
        agreement = [reading for reading in sick if reading.signal.partition("@")[0] == "judge_agreement"]
        champion = find_champion(place.stores.ledger, asset.name)
        if not agreement or champion is None:
            return None
        calibrated, start = find(place, asset.name, champion.id), agreement[0].window_start
        since = calibrated is not None and calibrated.measured_at > start
        if since != (self.name == CRITERIA_MOVED):
            return None
        shift = _shift(place, asset, champion)
        fresh = fresh_labels(place, asset, champion, start, now)
        if len(fresh.labelled) < FEWEST or (shift is not None and (_moved(shift) or shift.renamed)):
            return None
        share = agreement[0].value or 0.0
        evidence = {"agreement": share, "n": len(fresh.labelled), "flips": 0.0 if shift is None else shift.flips.value}
        text = f"It judges its anchor as before, and agrees with {share:.0%} of {agreement[0].n} labels."
        more = " It was calibrated on them already: it is to be asked otherwise." if since else ""
        return RankedCause(self.name, 0.7, evidence, text + more)

"""Every gate of judges: what a candidate must prove against what answers. Nobody is asked here; records are read.

Both were asked about the same cases in the same repair; those that a candidate may have learned from, the improve split,
are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from perdure.assets.health import Comparison, Verdict
from perdure.assets.repair import Stage, Trial
from perdure.engines.judges.drift import FEWEST_CLUSTERS, Told, tells_more
from perdure.loop.protocols import Gate, Watched, Workplace
from perdure.loop.work.comparing import surely
from perdure.loop.work.judges.labels import judge_of, read_labelled
from perdure.loop.work.judges.measuring import fair
from perdure.loop.work.judges.state import Measured, find
from perdure.loop.work.versions import get_version

CONFIDENCE = 0.95
_BETTER, _WORSE, _UNSURE = Comparison.BETTER, Comparison.WORSE, Comparison.NOT_ENOUGH_EVIDENCE


def judge_gates() -> tuple[Gate, ...]:
    """The gates of the kind "judge"."""
    return (JudgeBetter(), JudgeUsable())


def _newest(place: Workplace, judge: str, version: str) -> Measured | None:
    """What was measured of a version last, for whatever it was."""
    found = [find(place, judge, version, what) for what in ("trial", "calibration", "check")]
    return max((each for each in found if each is not None), key=lambda each: each.at, default=None)


class JudgeBetter:
    """Informedness of candidate and incumbent on the held-out anchor, case by case. The gain is by how much it grows."""

    name = "judge_better"
    stages: Sequence[Stage] = ("verify", "watch")

    def judge(self, place: Workplace, asset: Watched, trial: Trial, now: datetime) -> Verdict:
        """In `verify` it passes what tells more for sure; in `watch` what does not tell less for sure."""
        if trial.incumbent is None:
            return Verdict(self.name, _UNSURE, True, "Nothing runs that it could be compared with.")
        both = [_newest(place, asset.name, each) for each in (trial.candidate, trial.incumbent)]
        first, second = both
        if first is None or second is None:
            return Verdict(self.name, _UNSURE, False, "One of both was never asked about the anchor.")
        labelled = read_labelled(place, judge_of(asset), now)
        for version in (trial.candidate, trial.incumbent):
            labelled = fair(labelled, get_version(place.stores.ledger, version))
        held_out = [each for each in labelled if not each.improves]
        confidence = surely(CONFIDENCE, trial.n_rivals)
        found = tells_more(held_out, first.judgements, second.judgements, confidence)
        return self._verdict(found, trial, confidence)

    def _verdict(self, found: Told, trial: Trial, confidence: float) -> Verdict:
        interval = found.difference
        evidence = {
            "n": found.n,
            "n_clusters": found.n_clusters,
            "confidence": confidence,
            "candidate": found.first,
            "incumbent": found.second,
            "difference": None if interval is None else [interval.low, interval.high],
        }
        later = trial.stage != "verify"
        if interval is None:
            text = f"{found.n} held-out labels of {found.n_clusters} clusters are too few to tell, {FEWEST_CLUSTERS} are needed."
            return Verdict(self.name, _UNSURE, later, text, evidence)
        comparison = _BETTER if interval.low > 0.0 else _WORSE if interval.high < 0.0 else _UNSURE
        passed = comparison is not _WORSE if later else comparison is _BETTER
        text = (
            f"On {found.n} held-out labels its informedness is {found.first:.2f}, against {found.second:.2f} of what runs; "
            f"the difference lies between {interval.low:.2f} and {interval.high:.2f}."
        )
        return Verdict(self.name, comparison, passed, text, evidence, interval.value)


class JudgeUsable:
    """No judge is released whose calibration was refused, or that has none."""

    name = "judge_usable"
    stages: Sequence[Stage] = ("verify", "watch", "rollback")

    def judge(self, place: Workplace, asset: Watched, trial: Trial, now: datetime) -> Verdict:  # noqa: ARG002 - the Protocol's
        """Passes what is calibrated and not refused; a way back is never closed by it."""
        found = find(place, asset.name, trial.candidate)
        if found is None:
            open_way = trial.stage == "rollback"
            return Verdict(self.name, _UNSURE, open_way, "It was never calibrated.")
        calibration = found.calibration
        told = {"verdict": calibration.verdict, "n": calibration.n, "accuracy": calibration.accuracy.value}
        refused = calibration.verdict == "refused"
        return Verdict(self.name, _UNSURE, not refused or trial.stage == "rollback", calibration.text, told)

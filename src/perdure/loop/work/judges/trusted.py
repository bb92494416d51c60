"""Whether what the judges of a suite say may decide anything: gates ask before they read a figure that rests on them."""

from __future__ import annotations

from perdure.assets.scorer_specs import flattened
from perdure.assets.scorers import Judged
from perdure.assets.suite import Suite
from perdure.loop.protocols import Workplace
from perdure.loop.work.judges.state import find
from perdure.loop.work.versions import find_champion


def why_untrusted(place: Workplace, suite: Suite) -> str:
    """Why a suite proves nothing, in words: a judge that counts in its score was never calibrated, or was refused.

    Empty where each of them may be used, or none counts. Cost: two reads a judge.
    """
    counted = [each.judge for each in flattened(suite.scorers) if isinstance(each, Judged) and each.weight > 0.0]
    for name in dict.fromkeys(counted):
        champion = find_champion(place.stores.ledger, name)
        known = None if champion is None else find(place, name, champion.id)
        if known is None:
            return f"the judge {name} was never calibrated (perdure judge calibrate {name})"
        if known.calibration.verdict == "refused":
            return f"the judge {name} is refused: {known.calibration.text.rstrip('.')}"
    return ""

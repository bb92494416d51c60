"""Every remedy of models, in the order in which a plan lists equals. Nothing here answers a broken feed or skew."""

from __future__ import annotations

from perdure.loop.protocols import Remedy
from perdure.loop.work.fallback import FallbackDefault
from perdure.loop.work.past_versions import PastVersion, Rollback
from perdure.loop.work.recalibrating import Recalibrate
from perdure.loop.work.retraining import RetrainFull, RetrainRecent, WarmStart


def model_remedies() -> tuple[Remedy, ...]:
    """The remedies of the kind `model`: their names are `assets.model.REMEDIES`."""
    return (
        RetrainFull(),
        RetrainRecent(),
        WarmStart(),
        PastVersion(),
        Recalibrate(),
        Rollback(),
        FallbackDefault(),
    )

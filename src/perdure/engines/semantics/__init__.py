"""How near two questions must be to mean the same: thresholds from judged pairs. Pure computation.

`perdure cache calibrate` and the gateway's semantic cache call it.
"""

from __future__ import annotations

from perdure.engines.semantics.calibration import Calibration, calibrate
from perdure.engines.semantics.wording import same_numbers

__all__ = ["Calibration", "calibrate", "same_numbers"]

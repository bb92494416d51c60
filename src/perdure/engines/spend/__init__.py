"""What was spent on calls: reports by any dimension, burn rates against budgets, hours that cost what they should not.

`report` sums, `burn` projects, `anomalies` compares with the same hours of the weeks before.
"""

from __future__ import annotations

from perdure.engines.spend.anomalies import Rule, anomalies
from perdure.engines.spend.burn import Burn, burn
from perdure.engines.spend.report import by_target, spend

__all__ = ["Burn", "Rule", "anomalies", "burn", "by_target", "spend"]

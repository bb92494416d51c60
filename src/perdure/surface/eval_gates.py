"""What a comparison means for a release: `perdure eval compare` and a pull request ask different things of it.

Which of them was asked is on the run's record (`GATE`), so that a report tells the run by the gates that it was made for.
"""

from __future__ import annotations

from perdure.assets.health import Verdict
from perdure.assets.suite import Suite
from perdure.core.stats.verdicts import Compared
from perdure.core.verdict import Comparison
from perdure.surface.eval_told import EvalTold

GATE = "gate"
"""Among a run's facts: whose gates it was made for; without it, those of a release."""
CHANGE = "change"
"""Those of a pull request."""


def gate_of(suite: Suite, verdict: Compared) -> Verdict:
    """What a comparison means for a release: a primary suite must be better, a guarded one at least equivalent."""
    wanted = {Comparison.BETTER} if suite.role == "primary" else {Comparison.BETTER, Comparison.EQUIVALENT}
    passed, told = verdict.comparison in wanted, {"n_more": verdict.n_more, "look": verdict.look}
    return Verdict(f"{suite.role} suite {suite.name}", verdict.comparison, passed, verdict.text, told)


def gates_of(told: EvalTold) -> tuple[Verdict, ...]:
    """What a pull request owes a suite: it is not worse by more than the margin, and fails no more answers than before."""
    assert told.comparison is not None
    sure = told.comparison in (Comparison.BETTER, Comparison.EQUIVALENT)
    near = not told.partial and told.difference is not None and told.difference.low > -told.margin
    before, after = told.sides
    failed = f"{after.n_failed} of {after.n_answers:,} answers failed, before {before.n_failed} of {before.n_answers:,}"
    fine = after.n_failed <= before.n_failed
    return (
        Verdict("not_worse", told.comparison, sure or near, told.text),
        Verdict("answered", Comparison.EQUIVALENT if fine else Comparison.WORSE, fine, failed),
    )

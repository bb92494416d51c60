"""How differently a model errs on groups of people or things, and whether a new one does so more.

`gaps` measures with fairlearn, which the extra `fairness` installs. Called by `loop.work.fairness`.
"""

from __future__ import annotations

from perdure.engines.fairness.gaps import GroupGap, gap_change, group_gap

__all__ = ["GroupGap", "gap_change", "group_gap"]

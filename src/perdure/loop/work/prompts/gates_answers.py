"""The gate `prompt_answers`: a version can be rendered, its route is there, and its calls do not fail more than before."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import polars as pl

from perdure.assets.health import Comparison, Verdict
from perdure.assets.repair import Stage, Trial
from perdure.assets.version import Version
from perdure.core.errors import BadPrompt
from perdure.core.stats import proportion_interval
from perdure.engines.prompts import compile_prompt
from perdure.loop.protocols import Watched, Workplace
from perdure.loop.work.comparing import LATER_CONFIDENCE, surely
from perdure.loop.work.prompts.served import read_served
from perdure.loop.work.versions import find_champion, get_version

N_LEAST = 20
_WORSE, _UNSURE = Comparison.WORSE, Comparison.NOT_ENOUGH_EVIDENCE


class PromptAnswers:
    """In `verify` and `rollback` whether it could answer at all; later whether its calls are not answered more often."""

    name = "prompt_answers"
    stages: Sequence[Stage] = ("verify", "canary", "watch", "rollback")

    def judge(self, place: Workplace, asset: Watched, trial: Trial, now: datetime) -> Verdict:
        """The verdict."""
        candidate = get_version(place.stores.ledger, trial.candidate)
        if trial.stage in ("canary", "watch"):
            return self._by_calls(place, asset, trial, now)
        why = why_unable(place, candidate)
        if why:
            return Verdict(self.name, _WORSE, False, f"{candidate.id} cannot answer: {why}.")
        return Verdict(self.name, _UNSURE, True, f"{candidate.id} can be rendered, and its route answers.")

    def _by_calls(self, place: Workplace, asset: Watched, trial: Trial, now: datetime) -> Verdict:
        since = trial.since or now
        calls = read_served(place.stores.lake, asset.name, since - (now - since), now)
        mine = calls.filter((pl.col("prompt") == trial.candidate) & (pl.col("served_at") >= since))
        others = calls.filter(pl.col("prompt") == trial.incumbent)
        if min(mine.height, others.height) < N_LEAST:
            text = f"{mine.height} calls, and {others.height} of the other version, are too few to tell."
            return Verdict(self.name, _UNSURE, True, text)
        sure = surely(LATER_CONFIDENCE, trial.n_rivals)
        failed, usual = (
            proportion_interval(int((rows["outcome"] != "answered").sum()), rows.height, confidence=sure)
            for rows in (mine, others)
        )
        worse = failed.low > usual.high
        text = f"{failed.value:.1%} of {mine.height} calls were not answered, against {usual.value:.1%}."
        return Verdict(self.name, _WORSE if worse else _UNSURE, not worse, text, {"failed": [failed.low, failed.high]})


def why_unable(place: Workplace, version: Version) -> str:
    """Why a version could answer nobody; empty where it can."""
    try:
        compile_prompt(version.asset, version.definition)
    except BadPrompt as error:
        return error.message.rstrip(".")
    route = str(version.definition["route"])
    return "" if find_champion(place.stores.ledger, route) else f"its route {route!r} was never released"

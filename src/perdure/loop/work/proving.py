"""Gates that need no labels: size, contract and parity, and the proof that the way back is open.

Their verdicts are the same on every machine: nothing in them comes from a clock.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from perdure.assets.health import Comparison, Verdict
from perdure.assets.model import Model
from perdure.assets.repair import Stage, Trial
from perdure.assets.version import Version
from perdure.core.clock import cpu_s
from perdure.core.errors import PerdureError, Permanent
from perdure.core.ids import Digest
from perdure.engines.training.complexity import Complexity, complexity_of
from perdure.engines.training.parity import compare
from perdure.loop.protocols import Watched, Workplace
from perdure.loop.work.candidates import champions, fits_contract
from perdure.loop.work.scoring import Scoreboard, is_whole, load, load_anew, newest_scoreboard
from perdure.loop.work.versions import get_version, plan_of

log = logging.getLogger("perdure.loop")

RATIO = 3.0
"""How many times larger than what runs a candidate may be."""
_FREE_BYTES = 1_000_000
"""A model of at most this size is loaded and asked in no time, whatever it replaces."""
_N_SAMPLE = 500
_BETTER, _WORSE, _UNSURE = Comparison.BETTER, Comparison.WORSE, Comparison.NOT_ENOUGH_EVIDENCE


class LatencySize:
    """Bytes and tree nodes of what is loaded to answer, against what runs and against a latency objective.

    The time a row takes is logged and not judged: a clock gives another verdict on every run.
    """

    name = "latency_size"
    stages: Sequence[Stage] = ("verify",)

    def judge(self, place: Workplace, asset: Watched, trial: Trial, now: datetime) -> Verdict:
        """Passes unless the candidate is over three times as large, or its rows alone take longer than is allowed."""
        candidate = get_version(place.stores.ledger, trial.candidate)
        size = _complexity(place, candidate)
        _log_timing(place, asset.declaration, candidate, now)
        bounds = [each.bound for each in asset.healthy if each.spec.signal == "latency_ms" and each.bound is not None]
        bound = min(bounds, default=None)
        evidence = {"n_bytes": size.n_bytes, "n_nodes": size.n_nodes, "row_ms": size.row_ms, "bound_ms": bound}
        if bound is not None and size.row_ms > bound:
            told = f"A row through its {size.n_nodes} nodes takes about {size.row_ms:.3g} ms; {bound:g} ms are allowed."
            return Verdict(self.name, _WORSE, False, told, evidence)
        own = f"It has {size.n_bytes} bytes and {size.n_nodes} nodes"
        incumbent = None if trial.incumbent is None else get_version(place.stores.ledger, trial.incumbent)
        if incumbent is None or not is_whole(place, incumbent):
            return Verdict(self.name, _UNSURE, True, f"{own}; there is nothing to compare with.", evidence)
        other = _complexity(place, incumbent)
        evidence |= {"incumbent_n_bytes": other.n_bytes, "incumbent_n_nodes": other.n_nodes}
        told = f"{own}, against {other.n_bytes} and {other.n_nodes} of what runs."
        if _is_too_large(size, other):
            return Verdict(self.name, _WORSE, False, told, evidence)
        smaller = size.n_bytes < other.n_bytes and size.n_nodes <= other.n_nodes
        return Verdict(self.name, _BETTER if smaller else _UNSURE, True, told, evidence)


def _complexity(place: Workplace, version: Version) -> Complexity:
    runtime = version.definition["runtime"]
    return complexity_of(version.definition, {runtime: place.stores.blobs.get(Digest(version.artifacts[runtime]))})


def _is_too_large(size: Complexity, other: Complexity) -> bool:
    if size.n_bytes <= _FREE_BYTES:
        return False
    both_counted = size.n_nodes and other.n_nodes
    return size.n_bytes > RATIO * other.n_bytes or bool(both_counted and size.n_nodes > RATIO * other.n_nodes)


def _log_timing(place: Workplace, model: type[Model], version: Version, now: datetime) -> None:
    if not log.isEnabledFor(logging.INFO):
        return
    x = _sample(newest_scoreboard(place, model, now), version)
    predictor, began_s = load(place, version), cpu_s()
    for row in range(len(x)):
        predictor.predict(x[row : row + 1])
    log.info("%s takes %.1f µs of CPU a row, over %d rows", version.id, (cpu_s() - began_s) / len(x) * 1e6, len(x))


class ContractParity:
    """The contract is the declared one, features can be computed, compiled and native answers agree and are finite."""

    name = "contract_parity"
    stages: Sequence[Stage] = ("verify",)

    def judge(self, place: Workplace, asset: Watched, trial: Trial, now: datetime) -> Verdict:
        """Passes what can be served as it is, with the answers that it was trained to give."""
        model: type[Model] = asset.declaration
        version = get_version(place.stores.ledger, trial.candidate)
        if not fits_contract(model, version):
            pinned = version.definition["contract"]
            told = f"It was made under contract {pinned['name']} {pinned['hash'][:12]}, which is not the declared one."
            return Verdict(self.name, _WORSE, False, told, {"contract": pinned["hash"]})
        try:
            return self._answers(place, model, version, now)
        except PerdureError as error:
            if not isinstance(error, Permanent):
                raise
            return Verdict(self.name, _WORSE, False, f"It cannot answer: {error}", {"error": error.as_dict()})

    def _answers(self, place: Workplace, model: type[Model], version: Version, now: datetime) -> Verdict:
        x, predictor = _sample(newest_scoreboard(place, model, now), version), load(place, version)
        if not version.definition["accepts_missing"]:
            x = np.nan_to_num(x, nan=0.0)
        answers = predictor.predict(x)
        parity = compare(predictor.native_predict(x), answers)
        n_odd = int((~np.isfinite(answers)).sum())
        evidence = {"n_rows": len(x), "n_not_finite": n_odd, "n_different": parity.n_different}
        if n_odd:
            return Verdict(self.name, _WORSE, False, f"{n_odd} of {len(x)} answers are no finite number.", evidence)
        if not parity.agreed:
            told = f"Compiled and native answers differ: {parity.reason}."
            return Verdict(self.name, _WORSE, False, told, evidence)
        declared = [view.version for view in model.features]
        views = list(dict.fromkeys(feature["view"] for feature in version.definition["features"]))
        which = "the declared views" if views == declared else "views that it pins"
        told = f"The declared contract, {which}; {len(x)} compiled and native answers agree."
        return Verdict(self.name, _UNSURE, True, told, evidence)


def _sample(board: Scoreboard, version: Version) -> NDArray[np.float32]:
    """At most 500 encoded rows, at equal distances; one of zeros where there is none."""
    if board.rows.is_empty():
        return np.zeros((1, len(plan_of(version).features)), dtype=np.float32)
    return np.ascontiguousarray(board.x(version)[:: max(1, board.rows.height // _N_SAMPLE)][:_N_SAMPLE])


class RollbackTarget:
    """What would be gone back to loads from its blobs, each verified, and answers: before it is needed."""

    name = "rollback_target"
    stages: Sequence[Stage] = ("verify", "rollback")

    def judge(self, place: Workplace, asset: Watched, trial: Trial, now: datetime) -> Verdict:
        """In `verify` of the incumbent, in `rollback` of the candidate, which is the version to go back to.

        Where what runs is itself broken, a version that ran before, or the fallback, is the way out and passes.
        """
        target_id = trial.candidate if trial.stage == "rollback" else trial.incumbent
        if target_id is None:
            return Verdict(self.name, _UNSURE, True, "Nothing runs yet, so there is nothing to go back to.")
        target = get_version(place.stores.ledger, target_id)
        why = self._why_not(place, asset.declaration, target, now)
        evidence = {"version": target.id}
        if not why:
            return Verdict(self.name, _UNSURE, True, f"{target.id} loads and answers: the way back is open.", evidence)
        if trial.stage == "verify" and _is_way_out(place, asset, trial.candidate):
            told = f"What runs cannot be loaded ({why}), and this is the way out."
            return Verdict(self.name, _BETTER, True, told, evidence)
        return Verdict(self.name, _WORSE, False, f"{target.id} could not be gone back to: {why}", evidence)

    def _why_not(self, place: Workplace, model: type[Model], target: Version, now: datetime) -> str:
        if not fits_contract(model, target):
            return "it was made under another contract than the declared one"
        try:
            x = _sample(newest_scoreboard(place, model, now), target)
            if not target.definition["accepts_missing"]:
                x = np.nan_to_num(x, nan=0.0)
            answers = load_anew(place, target).predict(x)
        except PerdureError as error:
            if not isinstance(error, Permanent):
                raise
            return str(error)
        n_odd = int((~np.isfinite(answers)).sum())
        return f"{n_odd} of {len(x)} answers are no finite number" if n_odd else ""


def _is_way_out(place: Workplace, asset: Watched, candidate: str) -> bool:
    version = get_version(place.stores.ledger, candidate)
    ran_before = candidate in [each.id for each in champions(place, asset.name)]
    return ran_before or version.lineage.get("remedy") == "fallback_default"

"""What remedies have in common: what runs, what could run, what was made already.

A remedy's work is recorded as a run whose id is made of the step's key. A step that is done again finds
its run and gives the same versions, also when the tables have moved on meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

from perdure.assets.model import Model
from perdure.assets.repair import Action
from perdure.assets.version import CHAMPION, PointerMove, Version
from perdure.core.canonical import content_hash
from perdure.core.errors import NotFound
from perdure.loop.protocols import Watched, Workplace
from perdure.loop.work.rows import contract_hash
from perdure.loop.work.scoring import is_whole
from perdure.loop.work.versions import find_champion
from perdure.stores.ledger.protocols import Run

CONCEPT_DRIFT = "concept_drift"
DATA_DRIFT = "data_drift"
OPERATIONAL = "operational"
_USUAL_COST_S = 1.0
_LOOKED_AT = 50


def is_allowed(asset: Watched, remedy: str) -> bool:
    """Whether the model's declaration lets this remedy be used."""
    model: type[Model] = asset.declaration
    return not model.remedies or remedy in model.remedies


def widest_window(asset: Watched) -> timedelta | None:
    """Of all windows that a repair may fit on, whose rows are prepared once; None: all rows."""
    model: type[Model] = asset.declaration
    if is_allowed(asset, "retrain_full") or not model.recent:
        return None
    return max(model.recent)


def run_id_of(asset: Watched, action: Action, step: str) -> str:
    """The id of the run that does an action in a step."""
    return f"run_{content_hash([asset.name, action.key, step])[:17]}"


def once(place: Workplace, asset: Watched, action: Action, step: str, make: Callable[[str], str]) -> list[str]:
    """The version that `make` gives for a run's id; that of the run where it is done already."""
    run_id = run_id_of(asset, action, step)
    with place.stores.ledger.read() as session:
        try:
            run = session.runs.get(run_id)
        except NotFound:
            run = None
    if run is not None and run.status == "done":
        return [str(run.facts["version"])]
    return [make(run_id)]


def cost_of(place: Workplace, asset: Watched, remedy: str) -> float:
    """CPU seconds that the newest fit of this remedy took, or else any fit of the model."""
    with place.stores.ledger.read() as session:
        runs = session.runs.list(asset.name, limit=_LOOKED_AT)
    fits = [run for run in runs if run.kind == "train" and run.status == "done" and "cpu_s" in run.facts]
    return next((_cpu_s(run) for run in fits if run.facts.get("remedy") == remedy), _newest_cost(fits))


def _newest_cost(fits: Sequence[Run]) -> float:
    return _cpu_s(fits[0]) if fits else _USUAL_COST_S


def _cpu_s(run: Run) -> float:
    return float(run.facts["cpu_s"])


def champion_to_go_on_from(place: Workplace, asset: Watched) -> Version | None:
    """The champion, where a fit can go on from it: whole, of the declared contract and views, and itself fitted."""
    model: type[Model] = asset.declaration
    champion = find_champion(place.stores.ledger, asset.name)
    if champion is None or not is_whole(place, champion) or not fits_contract(model, champion):
        return None
    views = list(dict.fromkeys(feature["view"] for feature in champion.definition["features"]))
    if views != [view.version for view in model.features]:
        return None
    return (
        champion if "watermark" in champion.lineage and champion.lineage.get("remedy") != "fallback_default" else None
    )


def fits_contract(model: type[Model], version: Version) -> bool:
    """Whether a version was made under the contract that is declared now: no other is served."""
    return bool(version.definition["contract"]["hash"] == contract_hash(model))


def champions(place: Workplace, asset: str) -> list[Version]:
    """Every version that was ever the champion, in the order in which they came to be it, each once."""
    with place.stores.ledger.read() as session:
        moves = [move for move in session.pointers.history(asset) if move.name == CHAMPION and move.version]
        ids = dict.fromkeys(str(move.version) for move in moves)
        return [session.registry.get_version(each) for each in ids]


def other_versions(place: Workplace, asset: str, limit: int) -> list[Version]:
    """Every champion of before and the newest versions, each once, without the present champion.

    Args:
        place: where to look.
        asset: whose versions.
        limit: how many of the newest; champions come beside them.
    """
    champion = find_champion(place.stores.ledger, asset)
    with place.stores.ledger.read() as session:
        newest = session.registry.list_versions(asset, limit=limit)
    known = {version.id: version for version in [*champions(place, asset), *newest]}
    return [version for version in known.values() if champion is None or version.id != champion.id]


def best_of_known(remedy: str, past: Sequence[Version], cost_s: float) -> list[Action]:
    """The one action that looks for the best of versions that are there; none where there is none.

    Args:
        remedy: which proposes it.
        past: the versions.
        cost_s: CPU seconds a version.
    """
    if not past:
        return []
    text = f"the best of {len(past)} known version{'s' * (len(past) > 1)}"
    return [Action(remedy, text, "known", cost_s=cost_s * len(past))]


def version_before(place: Workplace, asset: str) -> Version | None:
    """What the champion's pointer named before; what was rolled back from does not count."""
    with place.stores.ledger.read() as session:
        line = _line([move for move in session.pointers.history(asset) if move.name == CHAMPION])
        return session.registry.get_version(line[-2]) if len(line) > 1 else None


def _line(moves: Sequence[PointerMove]) -> list[str]:
    """Champions that led to the present one, oldest first; a rollback takes back what came after its version."""
    line: list[str] = []
    for move in moves:
        if move.version is None:
            continue
        if move.facts.get("stage") == "rollback" and move.version in line:
            del line[line.index(move.version) :]
        line.append(move.version)
    return line

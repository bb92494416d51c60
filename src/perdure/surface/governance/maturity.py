"""The stage of ML maturity of each asset, from its policy and from what is on record.

1 manual; 2 automated, stateless; 3 automated, stateful; 4 continual, triggered by evidence: the four
stages of continual learning (Huyen, Designing Machine Learning Systems, 2022, chapter 9). A stage
holds all that the stages below it ask for. Only a model is trained on from a checkpoint, and only what
has versions has a champion: where that is not so, it is not asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perdure.assets.policy import Autonomy, least
from perdure.assets.version import CHAMPION
from perdure.surface.governance.entries import entries
from perdure.surface.governance.story import OUTCOME

if TYPE_CHECKING:
    from perdure.assets.policy import Policy
    from perdure.loop.protocols import Watched
    from perdure.stores.ledger.protocols import LedgerSession

STAGES = ("manual", "automated, stateless", "automated, stateful", "continual, on evidence")


@dataclass(frozen=True, slots=True)
class Maturity:
    """Where an asset stands, and what the next stage asks for."""

    asset: str
    kind: str
    stage: int
    """1 to 4."""
    name: str
    missing: Sequence[str]
    """What the next stage lacks, in words; empty at stage 4."""
    n_repairs: int
    """Repairs of the loop that were released, or mended what is below."""


def maturity(session: LedgerSession, assets: Sequence[Watched], cap: Autonomy) -> list[Maturity]:
    """The stage of each asset, in their order."""
    champions = {pointer.asset for pointer in session.pointers.list() if pointer.name == CHAMPION}
    return [_maturity(session, asset, cap, released=asset.name in champions) for asset in assets]


def _maturity(session: LedgerSession, asset: Watched, cap: Autonomy, *, released: bool) -> Maturity:
    lacks = [
        list(_lacks_automation(asset, cap, released=released)),
        list(_lacks_state(asset)),
        list(_lacks_evidence(asset, cap)),
    ]
    stage = next((number for number, missing in enumerate(lacks, 1) if missing), len(STAGES))
    missing = lacks[stage - 1] if stage < len(STAGES) else []
    n_repairs = sum(
        entry.facts.get("outcome") in ("released", "mended")
        for entry in entries(session, subject=asset.name, actions=(OUTCOME,))
    )
    return Maturity(asset.name, asset.kind, stage, STAGES[stage - 1], missing, n_repairs)


_RELEASED = {
    "model": "perdure train {}, perdure apply",
    "route": "perdure apply",
    "guard": "perdure apply",
    "prompt": "perdure apply",
    "judge": "perdure apply",
}
"""Kinds that have versions, and how the first of them comes to answer."""


def _lacks_automation(asset: Watched, cap: Autonomy, *, released: bool) -> Iterator[str]:
    policy = asset.policy
    if least(policy.autonomy, cap) == "observe":
        yield _autonomy(policy, cap, "Policy.propose(…) or Policy.act(…)")
    elif policy.trigger == "manual":
        yield 'a trigger: trigger="schedule" with every=days(7), or trigger="evidence"'
    if asset.kind in _RELEASED and not released:
        yield f"a champion to start from: {_RELEASED[asset.kind].format(asset.name)}"


def _lacks_state(asset: Watched) -> Iterator[str]:
    if asset.kind == "model" and asset.policy.training != "stateful":
        yield 'training that goes on from the champion\'s checkpoint: training="stateful", and fit with warm_start'


def _lacks_evidence(asset: Watched, cap: Autonomy) -> Iterator[str]:
    if asset.policy.trigger != "evidence":
        yield 'a trigger by evidence rather than by the calendar: trigger="evidence"'
    if not asset.healthy:
        yield "objectives: what healthy means, so that the loop sees when it is not"
    if least(asset.policy.autonomy, cap) != "act":
        yield _autonomy(asset.policy, cap, "Policy.act(…)")


def _autonomy(policy: Policy, cap: Autonomy, wanted: str) -> str:
    if least(policy.autonomy, cap) != policy.autonomy:
        return f"leave of the project: [loop] autonomy is {cap!r}"
    return f"leave to do more than {policy.autonomy}: policy = {wanted}"

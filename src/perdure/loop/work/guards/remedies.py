"""Every remedy of guards: learn anew, put the threshold elsewhere, or go back to a version that knew better.

Nothing here answers labels in trouble, or traffic that moved: there the loop asks a person.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime

import msgspec

from perdure.assets.health import Cause
from perdure.assets.repair import SCHEDULE, Action
from perdure.assets.version import Version
from perdure.core.ids import Digest
from perdure.core.units import days
from perdure.engines.guards.learned_training import recalibrated
from perdure.loop.protocols import Remedy, Watched, Workplace
from perdure.loop.work.candidates import best_of_known, cost_of, once, other_versions
from perdure.loop.work.guards.cases import Case, guard_of, learned_of, read_cases
from perdure.loop.work.guards.causes import NEW_ATTACKS, OVER_DEFENCE
from perdure.loop.work.guards.judging import LEARNED, Judge, TrainedOn, is_whole, load_judge
from perdure.loop.work.guards.training import Recipe, record_done, register, train_on, trainable
from perdure.loop.work.versions import find_champion

BEST = 3
"""Past versions that compete."""
MOST = 40
HALF_LIFE_DAYS = 30
_LEAST_WEIGHT = 0.2
"""Of the oldest texts: an old attack may come back."""
_COST_S = 0.1


def guard_remedies() -> tuple[Remedy, ...]:
    """The remedies of the kind "guard"."""
    return (GuardRetrain(), GuardThreshold(), GuardPastVersion())


class GuardRetrain:
    """Trains anew on every label that is not held out: the examples, and what people said of calls since."""

    name = "guard_retrain"
    answers: Sequence[str] = (NEW_ATTACKS, OVER_DEFENCE, SCHEDULE)

    def propose(self, place: Workplace, asset: Watched, causes: Sequence[Cause], now: datetime) -> Sequence[Action]:  # noqa: ARG002 - the Protocol's
        """Two actions, where it has a learned check: all labels alike, and the newer the heavier."""
        if learned_of(guard_of(asset)) is None:
            return []
        cost_s = cost_of(place, asset, self.name)
        newer = {"half_life_days": HALF_LIFE_DAYS}
        return [
            Action(self.name, "train on all labels", cost_s=cost_s),
            Action(self.name, "train on all labels, newer ones heavier", params=newer, cost_s=cost_s),
        ]

    def repair(self, place: Workplace, asset: Watched, action: Action, step: str, now: datetime) -> Sequence[str]:
        """The version that was trained.

        Raises:
            TooFewRows: fewer than 10 texts of a label.
        """

        def make(run_id: str) -> str:
            cases = trainable(read_cases(place, guard_of(asset), now))
            half_life = action.params.get("half_life_days")
            weights = None if half_life is None else [_weight(case, now, float(half_life)) for case in cases]
            recipe = Recipe(self.name, action.params, run_id, weights)
            return train_on(place, guard_of(asset), cases, recipe, now).id

        return once(place, asset, action, step, make)


def _weight(case: Case, now: datetime, half_life_days: float) -> float:
    if case.known_at is None:
        return _LEAST_WEIGHT
    age_days: float = (now - case.known_at) / days(1)
    return max(_LEAST_WEIGHT, math.exp2(-age_days / half_life_days))


class GuardThreshold:
    """Keeps what was learned, and chooses the threshold anew from the harmless texts that are known by now."""

    name = "guard_threshold"
    answers: Sequence[str] = (NEW_ATTACKS, OVER_DEFENCE)

    def propose(self, place: Workplace, asset: Watched, causes: Sequence[Cause], now: datetime) -> Sequence[Action]:  # noqa: ARG002 - the Protocol's
        """One action, where the champion has a learned check that is whole."""
        champion = find_champion(place.stores.ledger, asset.name)
        if learned_of(guard_of(asset)) is None or champion is None or not is_whole(place, champion):
            return []
        return [Action(self.name, "the same weights, another threshold", cost_s=_COST_S)]

    def repair(self, place: Workplace, asset: Watched, action: Action, step: str, now: datetime) -> Sequence[str]:
        """The version; none where no harmless text is new, or the threshold stays where it is."""
        guard, champion = guard_of(asset), find_champion(place.stores.ledger, asset.name)
        learned = learned_of(guard)
        if champion is None or learned is None:
            return []
        judge = load_judge(place, champion)
        known = trainable(read_cases(place, guard, now))
        new = [case for case in known if not case.harmful and not judge.knew(case)]
        artifact = place.stores.blobs.get(Digest(champion.artifacts[LEARNED]))
        made = recalibrated(artifact, [case.text for case in new], learned.max_false_block) if new else artifact
        if made == artifact:
            return []

        def make(run_id: str) -> str:
            recipe = Recipe(self.name, action.params, run_id)
            record = place.stores.blobs.put(msgspec.msgpack.encode(_widened(judge, new)))
            version = register(place, guard, (made, record), (recipe, champion.metrics), now)
            record_done(place, guard, version, recipe, now)
            return version.id

        return once(place, asset, action, step, make)


def _widened(judge: Judge, new: Sequence[Case]) -> TrainedOn:
    """What the champion was trained on, and what its threshold was chosen from since."""
    seen = judge.seen.with_keys([case.keys for case in new if case.keys is not None])
    before = judge.trained_on
    return TrainedOn(seen.to_bytes(), before.families, before.n_harmful, before.n_harmless + len(new))


class GuardPastVersion:
    """The best few versions that are there already, by their errors on held-out texts: attacks come back."""

    name = "guard_past_version"
    answers: Sequence[str] = (NEW_ATTACKS, OVER_DEFENCE, SCHEDULE)

    def propose(self, place: Workplace, asset: Watched, causes: Sequence[Cause], now: datetime) -> Sequence[Action]:  # noqa: ARG002 - the Protocol's
        """One action, where there is another version that is whole and declared as the guard is now."""
        return best_of_known(self.name, _past(place, asset), _COST_S)

    def repair(self, place: Workplace, asset: Watched, action: Action, step: str, now: datetime) -> Sequence[str]:  # noqa: ARG002 - nothing is made, so nothing is made twice
        """At most three, the best first; those that err no less than the champion on held-out texts are left out."""
        champion = find_champion(place.stores.ledger, asset.name)
        if champion is None or not is_whole(place, champion):
            return []
        incumbent = load_judge(place, champion)
        held_out = [case for case in read_cases(place, guard_of(asset), now) if case.held_out]
        ranked = []
        for version in _past(place, asset):
            judge = load_judge(place, version)
            fair = [case for case in held_out if not judge.knew(case) and not incumbent.knew(case)]
            if fair and errors_of(judge, fair) < errors_of(incumbent, fair):
                ranked.append((errors_of(judge, fair), version.id))
        return [version for _, version in sorted(ranked)[:BEST]]


def errors_of(judge: Judge, cases: Sequence[Case]) -> float:
    """Share of misses and share of false blocks, together."""
    caught = judge.caught(cases)
    shares = []
    for harmful in (True, False):
        wrong = [bool(found) != harmful for found, case in zip(caught, cases, strict=True) if case.harmful == harmful]
        shares.append(sum(wrong) / len(wrong) if wrong else 0.0)
    return sum(shares)


def _past(place: Workplace, asset: Watched) -> list[Version]:
    declared, known = guard_of(asset).definition(), other_versions(place, asset.name, MOST)
    return [version for version in known if fits(version, declared) and is_whole(place, version)]


def fits(version: Version, declared: object) -> bool:
    """Whether a version is what the guard is declared to be now, but for what was learned."""
    return bool(
        msgspec.json.encode(version.definition, order="sorted") == msgspec.json.encode(declared, order="sorted")
    )

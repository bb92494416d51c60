"""What `perdure check` says of policies: those that mean something else than their author thinks.

Called by `checks`. A policy that cannot mean anything fails when it is made; here it is held against what
it is declared with: labels, objectives, the project's roles, the pace of its loop.
"""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from perdure.core.errors import MissingExtra
from perdure.core.units import duration_text

if TYPE_CHECKING:
    from perdure.assets.model import Model
    from perdure.assets.policy import Policy
    from perdure.assets.source import Source
    from perdure.core.settings import Settings

Level = Literal["error", "warning", "note"]
Said = Iterator[tuple[Level, str, str]]
"""Level, what is said of the asset, hint."""
_SEES_A_BAD_FEED = ("freshness", "profile")
"""Parts of the names of signals by which a source shows that its batches stay away, or are unlike the others."""


def model_policy(model: type[Model]) -> Said:
    """A model's policy against its objectives, its labels and its fit; its gates against what is installed."""
    policy = model.policy
    if policy.trigger == "evidence" and not model.healthy:
        yield "error", "acts on evidence, but says nothing of what healthy is.", "Declare objectives, or observe."
    if policy.autonomy != "observe" and policy.watch < model.label.delay:
        yield (
            "warning",
            f"watches a release for {duration_text(policy.watch)}: its labels come only after that.",
            "Give the policy a longer watch.",
        )
    if policy.training == "stateful" and "warm_start" not in inspect.signature(model.fit).parameters:
        yield (
            "error",
            "trains on from a checkpoint, but fit takes no warm_start.",
            "Write: def fit(self, data, warm_start=None)",
        )
    if model.fair and importlib.util.find_spec("fairlearn") is None:
        lacks = MissingExtra("fairness", needed_for="Comparing groups")
        yield "warning", f"declares `fair`, and no repair of it can be judged here. {lacks.message}", lacks.hint


def source_policy(source: Source) -> Said:
    """A source's policy against its objectives."""
    signals = [objective.spec.signal for objective in source.healthy]
    seen = any(part in signal for signal in signals for part in _SEES_A_BAD_FEED)
    if source.policy.autonomy == "act" and not seen:
        yield (
            "warning",
            "acts alone, but none of its objectives sees a batch that is late or unlike the others.",
            "Write: healthy=[freshness_h(over=days(1)) <= 6, …], or hold its profile to what it was.",
        )


_GIVEN = "Who was given it by `perdure people` is not seen here: a check opens no store."


def doubtful_rules(policy: Policy, settings: Settings) -> Said:
    """Any asset's policy against itself, the project's roles and the pace of its loop."""
    if policy.autonomy == "observe":
        if policy.trigger != "manual":
            yield (
                "warning",
                f"has the trigger {policy.trigger!r} and a policy that only observes: nothing will be done.",
                "Use Policy.propose or Policy.act.",
            )
        return
    yield from _roles(policy, settings)
    yield from _pace(policy, timedelta(seconds=settings.loop.tick_s))


def _roles(policy: Policy, settings: Settings) -> Said:
    role = policy.approve_by
    if role is None:
        return
    people = settings.roles.get(role, ()) if settings.roles else (settings.project.actor,)
    if not people:
        declared = ", ".join(settings.roles)
        yield (
            "warning",
            f"is released by a {role!r}, and nobody has that role.",
            f'Write under [roles] of perdure.toml: {role} = ["…"]. Declared: {declared}. {_GIVEN}',
        )
    elif policy.four_eyes and len(others := [each for each in people if each != settings.project.actor]) < 2:
        yield (
            "warning",
            f"is released by two people of the role {role!r} beside who asked; there are {len(others)}.",
            f'Write under [roles] of perdure.toml: {role} = ["…", "…"]. {_GIVEN}',
        )


def _pace(policy: Policy, tick: timedelta) -> Said:
    stages = {"shadow": policy.ramp.shadow, "canary": policy.ramp.canary, "watch": policy.watch}
    for name, span in stages.items():
        if timedelta(0) < span < tick:
            yield (
                "warning",
                f"has a {name} of {duration_text(span)}, shorter than a round of the loop ({duration_text(tick)}).",
                "Make it longer, or [loop] tick_s shorter.",
            )
    if policy.trigger == "schedule" and policy.every is not None and policy.every < policy.cool_down:
        yield (
            "warning",
            f"is repaired every {duration_text(policy.every)}, but cools down for {duration_text(policy.cool_down)}.",
            "Give the policy a shorter cool_down, or a longer every.",
        )
    if policy.retrains.times < 1:
        yield "warning", "may never be repaired: its budget is 0.", "Write: retrains=per_month(4), or observe."

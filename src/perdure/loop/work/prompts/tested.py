"""A prompt as the loop watches it: its declaration, and the suites that say what its versions are worth.

Compose makes one by `watched_prompt`; the recipes of the kind look inside by `prompt_of`, `suites_of` and `find_judge`. A prompt rests on
the judges that its suites ask: while one of them is ill, its figures repair nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from perdure.assets.judge import Judge
from perdure.assets.objective import Objective, SignalSpec
from perdure.assets.prompt import Prompt
from perdure.assets.suite import Suite, judges_of
from perdure.core.units import days, hours
from perdure.loop.protocols import Watched

UNPROVEN = "unproven"
"""The signal, and the incident, of a version that a person released past its suites."""
PRIMARY = "primary"


@dataclass(frozen=True, slots=True, eq=False)
class TestedPrompt:
    """The declaration of a prompt with its suites."""

    __test__ = False
    """Not a test, whatever its name begins with."""
    prompt: Prompt
    suites: tuple[Suite, ...] = ()
    judges: tuple[Judge, ...] = ()
    """Those that its suites ask: where their anchors are, production's figures by them are corrected."""


def watched_prompt(prompt: Prompt, suites: Sequence[Suite] = (), judges: Mapping[str, Judge] | None = None) -> Watched:
    """The prompt as the loop sees it: with suites, also healthy only while what answers has passed them.

    Args:
        prompt: as declared.
        suites: that test it.
        judges: declared, by name, of which it takes those that its suites ask.
    """
    proven = (unproven() <= 0.0,) if suites else ()
    names = dict.fromkeys(judge for suite in suites for judge in judges_of(suite))
    healthy: tuple[Objective, ...] = (*prompt.healthy, *proven)
    # A shadow of a prompt is not asked, so that stage would prove nothing.
    policy = replace(prompt.policy, ramp=replace(prompt.policy.ramp, shadow=hours(0)))
    asked = tuple(judges[name] for name in names if name in judges) if judges else ()
    return Watched(prompt.name, "prompt", healthy, policy, TestedPrompt(prompt, tuple(suites), asked), tuple(names))


def unproven() -> SignalSpec:
    """1 while a version answers that was released past its suites and has not passed them since, else 0."""
    return SignalSpec(UNPROVEN, days(1))


def prompt_of(asset: Watched) -> Prompt:
    """The declared prompt."""
    declared = asset.declaration
    found: Prompt = declared.prompt if isinstance(declared, TestedPrompt) else declared
    return found


def suites_of(asset: Watched) -> tuple[Suite, ...]:
    """The suites that test it, by name; none where it was declared without."""
    declared = asset.declaration
    return declared.suites if isinstance(declared, TestedPrompt) else ()


def find_judge(asset: Watched, name: str) -> Judge | None:
    """The declared judge of that name among those that its suites ask, or None."""
    declared = asset.declaration
    judges = declared.judges if isinstance(declared, TestedPrompt) else ()
    return next((judge for judge in judges if judge.name == name), None)


def primaries(asset: Watched) -> tuple[Suite, ...]:
    """The suites that a change must make better."""
    return tuple(suite for suite in suites_of(asset) if suite.role == PRIMARY)

"""The kind "team", whole: what compose registers."""

from __future__ import annotations

from perdure.loop.protocols import Kind
from perdure.loop.work.dear_hours import CostAnomaly
from perdure.loop.work.teams.causes import Spender
from perdure.loop.work.teams.signals import BurnRatio, SpendUsd, WindowOf


def team_kind(window_of: WindowOf) -> Kind:
    """The kind "team" with its recipes, none of which repairs.

    Args:
        window_of: the calendar window of a budget that an instant falls in.
    """
    signals = (BurnRatio(window_of), CostAnomaly("team"), SpendUsd())
    return Kind("team", {signal.name: signal for signal in signals}, (Spender(),))

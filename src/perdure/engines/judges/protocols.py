"""What a judge said of one answer, and what is known of a judge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from perdure.core.stats.intervals import Interval

Said = Literal["given", "unparsed", "refused", "obeyed", "failed"]
"""`obeyed`: it followed an instruction inside of what it was to judge; `failed`: it was not reached."""


@dataclass(frozen=True, slots=True)
class Opinion:
    """One answer of a judge."""

    said: Said
    value: float | None = None
    """0 to 1 by the scale; of a pair 1 where the first of the two (as the case has them) is better, 0.5 a tie. None unless `given`."""
    word: str = ""
    """As it stands on the scale."""
    reason: str = ""
    order: Literal["as_is", "swapped"] = "as_is"
    repeat: int = 0
    route: str = ""


@dataclass(frozen=True, slots=True)
class Calibration:
    """How far a judge can be trusted, from an anchor set that people labelled."""

    verdict: Literal["usable", "weak", "refused"]
    text: str
    """In words: "This judge tells good from bad hardly better than a coin …"."""
    n: int
    accuracy: Interval
    kappa: Interval | None
    """None where one side only ever says one word."""
    sensitivity: Interval | None
    specificity: Interval | None
    informedness: Interval | None
    """Sensitivity + specificity - 1: 0 says nothing, 1 everything."""
    auc: Interval | None
    position_bias: Interval | None
    """Of pairs that flip with their order: how much oftener the first place wins, -1 to 1."""
    length_bias: Interval | None
    """How much oftener it prefers the longer answer than people do, -1 to 1."""
    consistency: Interval | None
    """Share of repeats that say the same."""
    obeyed: Interval
    """Share of planted instructions that it followed."""
    anchor: str = ""
    """Digest of the anchor set."""
    n_more: int | None = 0
    """About how many more labels would make it usable if it went on so; 0: none, None: no number would."""

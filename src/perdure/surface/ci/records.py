"""What a review of a pull request is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from perdure.core.errors import DeclarationError, Refused

if TYPE_CHECKING:
    from perdure.surface.checks import CheckNote

Risk = Literal["", "breaking", "loosened", "gates", "autonomy", "approvals"]
What = Literal["added", "removed", "changed"]
Verdict = Literal["fine", "wrong", "refused"]

RISKS: Mapping[str, str] = {
    "breaking": "requests or answers that callers rely on are not served any more",
    "loosened": "an objective asks for less, or is gone",
    "gates": "a candidate must prove less before it is released",
    "autonomy": "the loop does more alone",
    "approvals": "fewer or other people must say yes",
}
"""What is refused unless it is allowed by name, and what that means."""


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One part of a declaration that is another one now, in words."""

    what: str
    """Such as `policy.watch`, or `field distance_km`."""
    before: str = ""
    """Empty where it is new."""
    after: str = ""
    """Empty where it is gone."""
    means: str = ""
    risk: Risk = ""


@dataclass(frozen=True, slots=True)
class AssetChange:
    """An asset that came, went or changed."""

    kind: str
    name: str
    what: What
    where: str = ""
    """`file:line` of its declaration, where it is still declared."""
    changes: tuple[FieldChange, ...] = ()


@dataclass(frozen=True, slots=True)
class Consequence:
    """What has to be done, or happens, once the change is deployed."""

    kind: Literal["retrain", "materialise", "release", "registry"]
    asset: str
    text: str


@dataclass(frozen=True, slots=True)
class RiskFound:
    """A change that is refused unless it is allowed."""

    risk: Risk
    kind: str
    asset: str
    text: str
    allowed: bool


@dataclass(frozen=True, slots=True)
class Review:
    """Everything that is to be said of a pull request."""

    project: str
    base: str
    """What it was compared with, in words; empty where nothing was."""
    changes: tuple[AssetChange, ...] = ()
    consequences: tuple[Consequence, ...] = ()
    risks: tuple[RiskFound, ...] = ()
    notes: tuple[CheckNote, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """`wrong` where a declaration is; `refused` where a risk is not allowed; else `fine`."""
        if any(note.level == "error" for note in self.notes):
            return "wrong"
        return "refused" if self.refused else "fine"

    @property
    def refused(self) -> tuple[str, ...]:
        """The risks that are there and not allowed, each once, in the order of `RISKS`."""
        there = {each.risk for each in self.risks if not each.allowed}
        return tuple(risk for risk in RISKS if risk in there)

    @property
    def exit_code(self) -> int:
        """0, 2 or 5: those of the error families."""
        return {"fine": 0, "wrong": DeclarationError.exit_code, "refused": Refused.exit_code}[self.verdict]

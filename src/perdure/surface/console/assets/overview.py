"""The first page of an asset: how it is, what happened to it, what it points at, its newest readings, and the brakes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from perdure.assets.version import CHAMPION, SHADOW
from perdure.core.clock import from_us, to_us
from perdure.surface.console.asking import address
from perdure.surface.console.assets.known import Head, Known, asset_of, head_of, page_of, version_cell
from perdure.surface.console.assets.readings import measured_table, objectives, told_of
from perdure.surface.console.assets.series import Happened, Span, happened, marks_of, picture_of, went_back
from perdure.surface.console.records import Asked, Cell, Picture, Table, View
from perdure.surface.words import instant

_LOOKED_BACK = timedelta(days=90)
_EVENTS = 30
_POINTERS = 50


@dataclass(frozen=True, slots=True)
class Brakes:
    """What a person may do to stop the loop's hand."""

    allowed: bool
    why_not: str
    pause: str
    """Addresses of the deeds; empty where the deed makes no sense now."""
    resume: str
    rollback: str
    before: str
    """Version that answered before this one: where a way back leads."""
    trial: str
    """What is tried beside the champion, in words; empty where no release is under way."""
    champion: str
    """Where the end of a trial leads."""
    end_trial: str
    """Address of that deed; empty where no release is under way."""


@dataclass(frozen=True, slots=True)
class Further:
    """Another page about the same asset."""

    words: str
    href: str


@dataclass(frozen=True, slots=True)
class Overview:
    """The page."""

    head: Head
    objectives: Table
    readings: Table
    pointers: Table
    picture: Picture | None
    """The worst objective's signal over the last 90 days, with incidents and releases as marks; None where nothing was measured."""
    events: Table
    further: tuple[Further, ...]
    brakes: Brakes | None
    """None: nothing of this kind is repaired or released."""


def view(asked: Asked) -> View:
    """`/assets/{kind}/{name}`."""
    known = asset_of(asked)
    what = happened(asked, known)
    window = Span(asked.board.at - _LOOKED_BACK, asked.board.at)
    told = told_of(asked, known)
    data = Overview(
        head=head_of(asked, known, ""),
        objectives=objectives(asked, known),
        readings=measured_table(asked, known, sliced=False),
        pointers=_pointers(known, what),
        picture=None if told is None else picture_of(asked, known, told, window, marks=marks_of(what, known, window)),
        events=_events(known, what),
        further=_further(known),
        brakes=_brakes(asked, known, what),
    )
    return page_of(known, data)


def _pointers(known: Known, what: Happened) -> Table:
    since = {}
    for move in reversed(what.moves):
        since[move.name, move.version] = move.at
    rows = [
        (
            each.name,
            version_cell(known, each.version),
            f"{each.share:.0%}",
            _at_us(to_us(since[each.name, each.version])) if (each.name, each.version) in since else "–",
        )
        for each in known.pointers[:_POINTERS]
    ]
    return Table(
        ("Pointer", "Version", "Share", "Since"),
        rows,
        "Pointers, the version of each and its share of traffic",
        numeric=frozenset({2}),
        empty="No version answers yet: train one, then run perdure apply.",
    )


def _events(known: Known, what: Happened) -> Table:
    rows: list[tuple[int, tuple[Cell | str, ...]]] = []
    for each in what.incidents[:_EVENTS]:
        cell = Cell(each.summary or each.kind.replace("_", " "), href=address("/incidents", each.id))
        word = Cell("incident", tone="mute") if each.closed_at else Cell("incident, open", tone="bad")
        ended = _at_us(to_us(each.closed_at)) if each.closed_at else "–"
        rows.append((to_us(each.opened_at), (_at_us(to_us(each.opened_at)), word, ended, cell, "–")))
    answered = [move for move in what.moves if move.name == CHAMPION and move.version]
    for move in answered[:_EVENTS]:
        back = went_back(move)
        told = Cell("went back" if back else "release", tone="warn" if back else "info")
        cell = Cell(str(move.version), href=known.at("versions", str(move.version)))
        rows.append((to_us(move.at), (_at_us(to_us(move.at)), told, "–", cell, move.actor)))
    rows.sort(key=lambda row: -row[0])
    return Table(
        ("When", "What", "Until", "About", "By"),
        [row for _, row in rows[:_EVENTS]],
        "What happened, newest first",
        more=address("/registry", known.name, "history") if len(answered) > _EVENTS else "",
        empty="Nothing happened yet: no incident, and no release.",
    )


def _at_us(at_us: int) -> Cell:
    at = from_us(at_us)
    return Cell(f"{instant(at)} UTC", at=at)


def _further(known: Known) -> tuple[Further, ...]:
    found = []
    if known.kind == "model" and known.declared is not None:
        found.append(Further("Model card", address("/cards", known.name)))
    if known.kind == "model":
        found.append(Further("Training runs", address("/training", asset=known.name)))
    if known.pointers:
        found.append(Further("History of its pointers", address("/registry", known.name, "history")))
    return tuple(found)


def _brakes(asked: Asked, known: Known, what: Happened) -> Brakes | None:
    if known.tile is None or known.declared is None:
        return None
    may = asked.person.may("brake")
    before, trial = _before(known, what), _trial(known)
    return Brakes(
        allowed=may,
        why_not="" if may else "Pausing and going back is for scientists, engineers, reviewers and administrators.",
        pause="" if known.tile.paused else known.at("pause"),
        resume=known.at("resume") if known.tile.paused else "",
        rollback=known.at("rollback") if before else "",
        before=before,
        trial=trial,
        champion=known.champion,
        end_trial=known.at("rollback") if trial and known.champion else "",
    )


def _trial(known: Known) -> str:
    """What stands beside the champion, with its share of the traffic."""
    beside = [each for each in known.pointers if each.name != CHAMPION]
    return "; ".join(
        f"{each.version} answers unseen"
        if each.name == SHADOW
        else f"{each.version} has {each.share:.0%} of the traffic"
        for each in beside
    )


def _before(known: Known, what: Happened) -> str:
    """The newest champion other than the present one."""
    champions: Sequence[str] = [move.version for move in what.moves if move.name == CHAMPION and move.version]
    return next((each for each in champions if each != known.champion), "") if known.champion else ""

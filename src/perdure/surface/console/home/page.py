"""The first page: what waits for the one who looks, then how everything is, then what is going on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from perdure.surface.console.asking import address
from perdure.surface.console.home.health_map import Group, health_map
from perdure.surface.console.home.traffic import Traffic, traffic_of
from perdure.surface.console.home.under_way import Loop, incidents_of, loop_of, releases_of
from perdure.surface.console.home.waiting import Waits, waits_of
from perdure.surface.console.records import Table, View

if TYPE_CHECKING:
    from perdure.surface.console.records import Asked, Tone

_ALL = ("questions", "incidents", "health", "work", "releases", "requests", "money", "ledger")


@dataclass(frozen=True, slots=True)
class Figure:
    """One number with what it counts."""

    value: str
    words: str
    tone: Tone | str
    href: str


@dataclass(frozen=True, slots=True)
class Home:
    """All of the page."""

    waits: Waits
    figures: tuple[Figure, ...]
    map: tuple[Group, ...]
    incidents: Table
    loop: Loop
    releases: Table
    traffic: Traffic


def home(asked: Asked) -> View:
    """The project at a glance, from the board alone but for who was handed what."""
    board = asked.board
    traffic = traffic_of(board)
    data = Home(
        waits_of(asked),
        _figures(asked, traffic),
        health_map(board),
        incidents_of(board),
        loop_of(board),
        releases_of(board),
        traffic,
    )
    return View(asked.project.settings.project.name, data, cli="perdure status", live=_ALL)


def _figures(asked: Asked, traffic: Traffic) -> tuple[Figure, ...]:
    board = asked.board
    broken = sum(tile.state == "broken" for tile in board.tiles)
    moving = sum(tile.moving for tile in board.tiles)
    n_open, n_asked = len(board.incidents), len(board.questions)
    figures = [
        Figure(f"{len(board.tiles):,}", "assets", "", address("/assets")),
        Figure(f"{broken:,}", "broken", "bad" if broken else "good", address("/assets", state="broken")),
        Figure(f"{n_open:,}", "open incidents", "bad" if n_open else "good", address("/incidents")),
        Figure(f"{n_asked:,}", "questions to people", "warn" if n_asked else "", address("/inbox")),
        Figure(f"{moving:,}", "releases under way", "", address("/registry")),
        Figure(f"{traffic.n_day:,}", "requests in 24 h", "", address("/assets", kind="model")),
    ]
    return tuple(figures)

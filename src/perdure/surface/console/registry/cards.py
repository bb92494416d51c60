"""Model cards: what the records tell, and above it what people wrote; with all versions of that, and what each changed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from perdure.surface.console.asking import address
from perdure.surface.console.records import Cell, Table, View
from perdure.surface.console.registry.card_records import CardRecords, records_of
from perdure.surface.console.registry.differing import text_diff
from perdure.surface.governance.card_text import LONGEST, CardText, card_name, find_text, list_texts, parts_of
from perdure.surface.words import instant

if TYPE_CHECKING:
    from perdure.surface.console.records import Asked

_BEGINNING = """## Intended use

## Not to be used for

## Limits and doubts

## Whom to ask
"""


@dataclass(frozen=True, slots=True)
class Written:
    """One version of what people wrote."""

    version: str
    href: str
    parts: tuple[tuple[str, str], ...]
    actor: str
    at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class CardPage:
    """What the page of a card draws."""

    model: str
    asset_href: str
    written: Written | None
    records: CardRecords


@dataclass(frozen=True, slots=True)
class EditPage:
    """What the form draws."""

    model: str
    text: str
    base: str
    """Version that the text is of; empty for the first."""
    longest: int
    new: bool


@dataclass(frozen=True, slots=True)
class VersionsPage:
    """All versions of what people wrote."""

    model: str
    rows: Table


@dataclass(frozen=True, slots=True)
class VersionPage:
    """One version."""

    model: str
    written: Written
    holds: bool
    text: str
    now_holds: str
    """Version that holds now."""
    previous: str
    previous_href: str
    champion: str
    champion_href: str
    diff: tuple[str, ...]
    records: str


def show_card(asked: Asked) -> View:
    """The card as it stands."""
    made = asked.project.card(asked.path["name"], at=asked.now)
    written = _written(made.text) if made.text else None
    data = CardPage(made.model, address("/assets", "model", made.model), written, records_of(made))
    return View(
        f"Card of {made.model}", data, _crumbs(made.model), cli=f"perdure card {made.model}", live=("releases",)
    )


def show_card_edit(asked: Asked) -> View:
    """The form, with the text that holds."""
    name = asked.project.project.model(asked.path["name"]).name
    present = asked.project.card_text(name)
    data = EditPage(
        name, present.text if present else _BEGINNING, present.version if present else "", LONGEST, not present
    )
    return View(f"Edit the card of {name}", data, _crumbs(name, below=True), cli=f"perdure card {name} --edit FILE")


def show_card_versions(asked: Asked) -> View:
    """Every version, newest first."""
    name = asked.project.project.model(asked.path["name"]).name
    with asked.project.place.stores.ledger.read() as session:
        found = list_texts(session, name)
    rows = [
        (
            Cell(each.version, href=address("/cards", name, "versions", each.version)),
            Cell(instant(each.at), at=each.at),
            each.actor,
            each.reason,
            f"{len(each.text):,}",
        )
        for each in found
    ]
    table = Table(
        ("Version", "When", "By", "Why", "Characters"),
        rows,
        "Versions of the card",
        numeric=frozenset({4}),
        empty=f"Nobody wrote on it yet: edit it, or perdure card {name} --edit FILE.",
    )
    cli = f"perdure history {card_name(name)}" if found else f"perdure card {name}"
    return View(f"Versions of the card of {name}", VersionsPage(name, table), _crumbs(name, below=True), cli=cli)


def show_card_version(asked: Asked) -> View:
    """One version: what it changed, and the records as they stood."""
    name = asked.project.project.model(asked.path["name"]).name
    with asked.project.place.stores.ledger.read() as session:
        found = find_text(session, name, asked.path["id"])
        assert found is not None
        before = find_text(session, name, found.previous) if found.previous else None
        present = find_text(session, name)
    holds = present is not None and present.version == found.version
    data = VersionPage(
        model=name,
        written=_written(found),
        holds=holds,
        text=found.text,
        now_holds=present.version if present else "",
        previous=found.previous,
        previous_href=address("/cards", name, "versions", found.previous) if found.previous else "",
        champion=found.champion,
        champion_href=address("/assets", "model", name, "versions", found.champion) if found.champion else "",
        diff=text_diff(before.text if before else "", found.text, (found.previous or "nothing", found.version)),
        records=found.records,
    )
    cli = f"perdure history {card_name(name)}"
    return View(f"Card of {name}, as of {instant(found.at)}", data, _crumbs(name, below=True), cli=cli)


def _written(found: CardText) -> Written:
    href = address("/cards", found.model, "versions", found.version)
    return Written(found.version, href, tuple(parts_of(found.text)), found.actor, found.at, found.reason)


def _crumbs(model: str, *, below: bool = False) -> tuple[tuple[str, str], ...]:
    above = (("Registry", "/registry"), (model, address("/assets", "model", model)))
    return (*above, ("Card", address("/cards", model))) if below else above

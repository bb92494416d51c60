"""What the records tell on a card, as tables: after Mitchell et al., Model Cards for Model Reporting (2019), with what only a ledger knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from perdure.surface.console.asking import address
from perdure.surface.console.questions import verdict_table, version_address
from perdure.surface.console.records import Cell, Table
from perdure.surface.words import instant, number, words

if TYPE_CHECKING:
    from perdure.surface.console.records import Tone
    from perdure.surface.governance.cards import Card

_MOST = 50
_TONES: Mapping[str, Tone] = {"healthy": "good", "broken": "bad", "unsure": "warn", "stale": "warn"}


@dataclass(frozen=True, slots=True)
class CardRecords:
    """Everything on the card that nobody writes."""

    purpose: str
    owner: str
    task: str
    policy: str
    version: str
    version_href: str
    made_at: datetime | None
    facts: tuple[tuple[str, str], ...]
    """About the training data."""
    lineage: tuple[tuple[str, str], ...]
    metrics: Table
    slices: Table
    health: Table
    fairness: Table
    approvals: Table
    releases: Table
    incidents: Table


def records_of(card: Card) -> CardRecords:
    """The card's records."""
    version = card.version
    return CardRecords(
        purpose=card.purpose,
        owner=card.owner,
        task=card.task,
        policy=card.policy,
        version=version.id if version else "",
        version_href=address("/assets", "model", card.model, "versions", version.id) if version else "",
        made_at=version.created_at if version else None,
        facts=_data(card.data),
        lineage=tuple((words(k), _value(v)) for k, v in sorted(version.lineage.items())) if version else (),
        metrics=_metrics(card),
        slices=_slices(card),
        health=_health(card),
        fairness=verdict_table(card.fairness, "Verdicts on groups", "No gate has judged groups for this version."),
        approvals=_approvals(card),
        releases=_releases(card),
        incidents=_incidents(card),
    )


def _data(data: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    if not data:
        return ()
    counts = ((words(name.removeprefix("n_")), f"{n:,}") for name, n in data.get("counts", {}).items())
    missing = ((f"missing in {name}", f"{ratio:.1%}") for name, ratio in data.get("null_ratios", {}).items() if ratio)
    return (
        ("rows", f"{data['n_rows']:,}"),
        ("from", str(data["start_at"])),
        ("to", str(data["end_at"])),
        *counts,
        *missing,
        ("digest", str(data["digest"])),
    )


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {each}" for key, each in value.items()) or "none"
    return str(value)


def _metrics(card: Card) -> Table:
    rows = [(words(name), number(value)) for name, value in card.metrics.items()]
    empty = "Nothing was measured: nothing is released."
    return Table(("Metric", "Value"), rows[:_MOST], "Metrics of the version", numeric=frozenset({1}), empty=empty)


def _slices(card: Card) -> Table:
    rows = [
        (f"{column}={value}", words(name), number(number_))
        for column, by_value in card.slices.items()
        for value, metrics in by_value.items()
        for name, number_ in metrics.items()
    ]
    empty = "No slices were measured: name columns in `slices = (...)` of the model."
    return Table(
        ("Slice", "Metric", "Value"), rows[:_MOST], "Metrics of each slice", numeric=frozenset({2}), empty=empty
    )


def _health(card: Card) -> Table:
    rows: list[tuple[Cell | str, ...]] = []
    for each in card.health[:_MOST]:
        reading = each.reading
        where = f" ({reading.slice})" if reading and reading.slice else ""
        interval = f"{number(reading.low)} to {number(reading.high)}" if reading and reading.low is not None else ""
        value = f"{number(reading.value)} {reading.unit}".strip() if reading else ""
        rows.append(
            (
                each.objective + where,
                each.stakeholder,
                Cell(each.state, tone=_TONES.get(each.state, "mute")),
                value,
                interval,
            )
        )
    return Table(
        ("Objective", "Owed to", "State", "Newest", "Interval"),
        rows,
        "Objectives and their newest readings",
        numeric=frozenset({3, 4}),
        empty="No objective is declared: write what healthy means in `healthy = [...]`.",
    )


def _approvals(card: Card) -> Table:
    rows = [
        (
            Cell(each.text, href=address("/approvals", each.id)),
            Cell(instant(each.asked_at), at=each.asked_at),
            each.status,
            "; ".join(f"{a.actor}: {'yes' if a.approves else 'no'}, {a.reason}" for a in each.answers),
        )
        for each in reversed(card.approvals[-_MOST:])
    ]
    return Table(("Question", "Asked", "Status", "Answers"), rows, "Questions and answers", empty="None was asked for.")


def _releases(card: Card) -> Table:
    rows = [
        (
            Cell(each.version or "taken away", href=_version_page(card, each.version)),
            Cell(instant(each.at), at=each.at),
            each.actor,
            each.reason,
            ", ".join(answer.actor for answer in each.approved_by),
        )
        for each in reversed(card.releases[-_MOST:])
    ]
    more = address("/registry", card.model, "history") if len(card.releases) > _MOST else ""
    headings = ("Version", "When", "By", "Why", "With the yes of")
    return Table(
        headings, rows, "Moves of the champion, newest first", more=more, empty="None yet: perdure apply releases."
    )


def _version_page(card: Card, version: str | None) -> str:
    return version_address("model", card.model, version) if version else ""


def _incidents(card: Card) -> Table:
    rows = [
        (
            Cell(words(each.kind), href=address("/incidents", each.id)),
            Cell(instant(each.opened_at), at=each.opened_at),
            Cell(instant(each.closed_at), at=each.closed_at) if each.closed_at else Cell("open", tone="bad"),
            each.summary,
        )
        for each in reversed(card.incidents[-_MOST:])
    ]
    more = address("/incidents", state="all", asset=card.model) if len(card.incidents) > _MOST else ""
    return Table(
        ("What", "Since", "Ended", "Summary"),
        rows,
        "Stretches of ill health, newest first",
        more=more,
        empty="None is known.",
    )

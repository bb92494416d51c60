"""A model's card, made from the records: written by hand are the purpose, the owner, and what people say on it (`card_text`).

After Mitchell et al., Model Cards for Model Reporting (2019): intended use, data, metrics by slice,
limits; with what only a ledger knows: approvals, releases, incidents.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from perdure.assets.version import CHAMPION
from perdure.surface.governance.card_text import CardText, find_text
from perdure.surface.governance.entries import entries
from perdure.surface.governance.history import HistoryRow, history
from perdure.surface.governance.story import VERIFIED
from perdure.surface.health import health_of
from perdure.surface.records import Health
from perdure.surface.words import counted, instant, number, words

if TYPE_CHECKING:
    from perdure.assets.version import Version
    from perdure.loop.protocols import Watched
    from perdure.stores.ledger.protocols import Approval, Incident, LedgerSession
    from perdure.stores.telemetry.protocols import Readings

FAIRNESS = "fairness"
"""A gate whose name has this word judges groups."""
_N_SLICES = 12


@dataclass(frozen=True, slots=True)
class Card:
    """What is known of a model at an instant."""

    model: str
    at: datetime
    purpose: str
    owner: str
    task: str
    policy: str
    version: Version | None
    """The champion; None where nothing is released."""
    data: Mapping[str, Any]
    """The training data's card."""
    metrics: Mapping[str, float]
    slices: Mapping[str, Mapping[str, Mapping[str, float]]]
    """Column → value → metrics on the rows held out."""
    health: Sequence[Health]
    approvals: Sequence[Approval]
    releases: Sequence[HistoryRow]
    incidents: Sequence[Incident]
    fairness: Sequence[Mapping[str, Any]]
    """Newest verdicts on groups."""
    text: CardText | None = None
    """What people say; None where nobody wrote any."""


def card(session: LedgerSession, readings: Readings, asset: Watched, now: datetime) -> Card:
    """The card of a model as of now."""
    declared = asset.declaration
    moves = [row for row in history(session, asset.name) if row.pointer == CHAMPION]
    champion = next((p.version for p in session.pointers.list(asset.name) if p.name == CHAMPION), None)
    version = session.registry.get_version(champion) if champion else None
    run = _run_facts(session, asset.name, champion)
    return Card(
        model=asset.name,
        at=now,
        purpose=declared.purpose,
        owner=declared.owner,
        task=declared.task,
        policy=_policy(asset),
        version=version,
        data=run.get("card") or _dataset(session, version),
        metrics=version.metrics if version else {},
        slices=run.get("slices", {}),
        health=health_of(readings, asset, now),
        approvals=session.approvals.list(asset=asset.name),
        releases=moves,
        incidents=session.incidents.list(asset=asset.name),
        fairness=_fairness(session, asset.name, champion),
        text=find_text(session, asset.name),
    )


def _run_facts(session: LedgerSession, asset: str, version: str | None) -> Mapping[str, Any]:
    # A run's facts are large, and there may be thousands: the ledger looks for the one.
    made = session.runs.list(asset, version=version, limit=1) if version else []
    return made[0].facts if made else {}


def _dataset(session: LedgerSession, version: Version | None) -> Mapping[str, Any]:
    made_of = str(version.lineage.get("dataset", "")) if version else ""
    known = session.registry.list_versions(made_of.partition("@")[0]) if made_of else []
    return next((each.definition.get("card", {}) for each in known if each.id == made_of), {})


def _fairness(session: LedgerSession, asset: str, version: str | None) -> list[Mapping[str, Any]]:
    newest: dict[str, Mapping[str, Any]] = {}
    for entry in entries(session, subject=asset, actions=(VERIFIED,)):
        for trial in entry.facts["trials"]:
            if trial["candidate"] == version:
                newest |= {each["gate"]: each for each in trial["verdicts"] if FAIRNESS in each["gate"]}
    return list(newest.values())


def _policy(asset: Watched) -> str:
    policy = asset.policy
    role = (
        f", released by a yes of {'two of role ' if policy.four_eyes else ''}{policy.approve_by}"
        if policy.approve_by
        else ""
    )
    return f"{policy.autonomy} on {policy.trigger}, {policy.training} training{role}"


def card_markdown(made: Card) -> str:
    """The card as a page."""
    version = made.version
    parts = [
        f"# {made.model}",
        "",
        made.purpose or "No purpose is declared.",
        "",
        f"- **Owner**: {made.owner or 'nobody'}",
        f"- **Task**: {made.task}",
        f"- **Version**: {f'`{version.id}`, made {instant(version.created_at)}' if version else 'nothing is released'}",
        f"- **Policy**: {made.policy}",
        f"- **As of**: {instant(made.at)} UTC",
        "",
        *_by_people(made.text),
    ]
    for heading, lines in _chapters(made):
        parts += [f"## {heading}", "", *lines, ""]
    return "\n".join(parts)


def _by_people(text: CardText | None) -> list[str]:
    if text is None:
        return []
    return [text.text, "", f"*Written by {text.actor}, {instant(text.at)}: {text.reason}*", ""]


def _chapters(made: Card) -> Iterator[tuple[str, list[str]]]:
    yield "Data", _data(made)
    yield "Metrics", _metrics(made)
    if made.slices:
        yield "Metrics by slice", list(_slices(made))
    yield "Objectives", _table(("objective", "owed to", "state", "reading"), [_objective(each) for each in made.health])
    if made.version is not None:
        lineage = [f"- **{words(key)}**: {_value(value)}" for key, value in sorted(made.version.lineage.items())]
        yield "Lineage", [*lineage, *(f"- **{role}**: `{digest}`" for role, digest in made.version.artifacts.items())]
    yield "Fairness", [_verdict(each) for each in made.fairness] or ["No gate has judged groups for this version."]
    yield "Approvals", [line for each in made.approvals for line in _approval(each)] or ["None was asked for."]
    yield "Releases", [_release(each) for each in made.releases] or ["None."]
    yield "Incidents", [_incident(each) for each in made.incidents] or ["None is known."]


def _data(made: Card) -> list[str]:
    data = made.data
    if not data:
        return ["Nothing is recorded."]
    lines = [f"- **Rows**: {data['n_rows']:,}, from {data['start_at']} to {data['end_at']}"]
    counts = ", ".join(f"{words(name.removeprefix('n_'))} {n:,}" for name, n in data.get("counts", {}).items())
    empty = {name: ratio for name, ratio in data.get("null_ratios", {}).items() if ratio}
    return [
        *lines,
        *([f"- **Counts**: {counts}"] if counts else []),
        *([f"- **Missing**: {', '.join(f'{name} {ratio:.1%}' for name, ratio in empty.items())}"] if empty else []),
        f"- **Digest**: `{data['digest']}`",
    ]


def _metrics(made: Card) -> list[str]:
    return _table(("metric", "value"), [(name, number(value)) for name, value in made.metrics.items()])


def _slices(made: Card) -> Iterator[str]:
    for column, by_value in made.slices.items():
        names = list(dict.fromkeys(name for metrics in by_value.values() for name in metrics))
        shown = list(by_value.items())[:_N_SLICES]
        yield from _table((column, *names), [(value, *(number(m.get(name)) for name in names)) for value, m in shown])
        if len(by_value) > _N_SLICES:
            yield f"… and {counted(len(by_value) - _N_SLICES, 'value')} more."
        yield ""


def _objective(row: Health) -> tuple[str, ...]:
    reading, where = row.reading, ""
    if reading is None:
        return row.objective, row.stakeholder, row.state, "–"
    where = f" ({reading.slice})" if reading.slice else ""
    interval = "" if reading.low is None else f" ({number(reading.low)} to {number(reading.high)})"
    return row.objective + where, row.stakeholder, row.state, f"{number(reading.value)}{interval}"


def _verdict(verdict: Mapping[str, Any]) -> str:
    return f"- {verdict['gate']}: {'passed' if verdict['passed'] else 'refused'}. {verdict['text']}"


def _approval(approval: Approval) -> Iterator[str]:
    yield f"- {instant(approval.asked_at)} {approval.text}: {approval.status}"
    for each in approval.answers:
        yield f"  - {each.actor} said {'yes' if each.approves else 'no'}: {each.reason}"


def _release(row: HistoryRow) -> str:
    yes = f", with a yes of {', '.join(each.actor for each in row.approved_by)}" if row.approved_by else ""
    return f"- {instant(row.at)} `{row.version or 'none'}` by {row.actor}: {row.reason}{yes}"


def _incident(incident: Incident) -> str:
    until = f"to {instant(incident.closed_at)}: {incident.closing}" if incident.closed_at else "open"
    return f"- {instant(incident.opened_at)} {words(incident.kind)} ({until}). {incident.summary}"


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {each}" for key, each in value.items()) or "none"
    return f"`{value}`"


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    if not rows:
        return ["Nothing is recorded."]
    cells = [headings, ["---"] * len(headings), *rows]
    return [f"| {' | '.join(_cell(cell) for cell in row)} |" for row in cells]


def _cell(text: str) -> str:
    return str(text).replace("|", "\\|")

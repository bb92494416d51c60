"""Incidents of the loop: one an asset and stretch of ill health, opened for sure and closed for sure.

An incident opens when an objective is broken with its whole interval, and closes only when every one
is healthy with its whole interval, or none was broken for as long as the longest window: between the
two it stays as it is. That is its hysteresis. An asset that rests on another with an open incident
opens none of its own: it is written down there as affected.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from perdure.assets.health import Cause, Finding, State
from perdure.core.canonical import plain
from perdure.core.units import duration_text
from perdure.loop.protocols import Watched
from perdure.loop.situation import Symptom
from perdure.stores.ledger.protocols import Incident, LedgerSession

LOOP = "loop"
"""The fact that tells the loop's own incidents from those of losses and damage."""
UNKNOWN = "unknown"
"""Kind of an incident without a cause; the first cause that is found later becomes its kind, and stays it."""


def find_incident(session: LedgerSession, asset: str) -> Incident | None:
    """The loop's open incident of an asset, or None."""
    for incident in session.incidents.list(open_only=True):
        if incident.asset == asset and incident.facts.get(LOOP):
            return incident
    return None


def open_incident(
    session: LedgerSession, asset: Watched, broken: Sequence[Symptom], causes: Sequence[Cause]
) -> Incident:
    """Open the asset's incident, or bring the open one up to date with what broke and why."""
    present = find_incident(session, asset.name)
    summary = _summary(broken, causes)
    facts = _facts(asset, broken, causes)
    if present is not None and not causes:
        # What was found stays found: after a release nothing may speak for a cause, while old rows still break it.
        del facts["causes"]
        return session.incidents.update(present.id, facts=facts)
    if present is None:
        return session.incidents.open(asset.name, causes[0].name if causes else UNKNOWN, summary, facts)
    found = causes[0].name if present.kind == UNKNOWN else None
    return session.incidents.update(present.id, kind=found, summary=summary, facts=facts)


def note(session: LedgerSession, incident_id: str, facts: Mapping[str, Any]) -> None:
    """Merge facts into an incident that may be closed by now; then they stay where they are recorded anyway."""
    for incident in session.incidents.list(open_only=True):
        if incident.id == incident_id:
            merged = {name: _merged(incident.facts.get(name), value) for name, value in facts.items()}
            session.incidents.update(incident_id, facts=merged)


def _merged(present: Any, value: Any) -> Any:
    """Lists grow by what is new; anything else is replaced."""
    if isinstance(present, list) and isinstance(value, list):
        return present + [item for item in value if item not in present]
    return value


def recovered(
    asset: Watched,
    incident: Incident,
    findings: Sequence[Finding],
    now: datetime,
    *,
    lately: Callable[[datetime], bool],
) -> str | None:
    """How an incident ended, in words; None while it lasts.

    Args:
        asset: that has at least one objective.
        incident: its open one.
        findings: the newest of every objective.
        now: domain time.
        lately: whether an objective was broken after an instant.
    """
    if not findings or any(finding.state is State.BROKEN for finding in findings):
        return None
    lasted = duration_text(timedelta(seconds=round((now - incident.opened_at).total_seconds())))
    if all(finding.state is State.HEALTHY for finding in findings):
        # What was mended elsewhere, as whoever looked after it wrote it down.
        healed = str(incident.facts.get("healed_by", ""))
        return f"{f'{healed} ' if healed else ''}Every objective is healthy again, after {lasted}."
    longest = max(objective.spec.over for objective in asset.healthy)
    if now - incident.opened_at >= longest and not lately(now - longest):
        return f"No objective was broken for {duration_text(longest)}; it lasted {lasted}."
    return None


def _summary(broken: Sequence[Symptom], causes: Sequence[Cause]) -> str:
    what = "; ".join(_told(symptom) for symptom in broken[:3])
    more = f" and {len(broken) - 3} more" if len(broken) > 3 else ""
    return f"{causes[0].text} {what}{more}." if causes else f"{what}{more}."


def _told(symptom: Symptom) -> str:
    value = "not measured" if symptom.value is None else f"{symptom.value:.4g}"
    where = f" ({symptom.slice})" if symptom.slice else ""
    return f"{symptom.objective} is broken{where}: {value}"


def _facts(asset: Watched, broken: Sequence[Symptom], causes: Sequence[Cause]) -> dict[str, Any]:
    return {
        LOOP: True,
        "asset_kind": asset.kind,
        "causes": plain(list(causes)),
        "symptoms": plain(list(broken)),
    }

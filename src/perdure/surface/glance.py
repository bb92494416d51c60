"""The project at a glance: what runs, how healthy it is, what is open, and what is done about it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from perdure.loop.protocols import LEASE
from perdure.surface.alerting import problem_of
from perdure.surface.compose import watched_assets
from perdure.surface.governance.doing import doing_about
from perdure.surface.health import health_of
from perdure.surface.quarantine import quarantined_by_origin
from perdure.surface.records import AssetStatus, Status
from perdure.surface.words import counted

if TYPE_CHECKING:
    from perdure.assets.project import Project
    from perdure.core.settings import TelemetrySettings
    from perdure.loop.protocols import Workplace
    from perdure.loop.telemetry import SpansSent
    from perdure.loop.telemetry_evals import EvaluationsSent
    from perdure.stores.ledger.protocols import LedgerSession


def glance(place: Workplace, project: Project, now: datetime) -> Status:
    """The status of every asset at an instant of domain time."""
    from perdure.loop.pausing import paused

    stores, assets = place.stores, watched_assets(project)
    with stores.ledger.read() as session:
        pointers = session.pointers.list()
        incidents = session.incidents.list(open_only=True)
        doing = {incident.id: doing_about(session, incident) for incident in incidents}
        pauses = {asset.name: paused(session, asset.name, now) for asset in assets}
        approvals = session.approvals.list(open_only=True)
        alerts = problem_of(place.settings.alerts, session)
        telemetry = _spans(place.settings.telemetry, session)
    return Status(
        project=place.project,
        at=now,
        assets=[
            AssetStatus(
                asset.kind,
                asset.name,
                getattr(asset.declaration, "owner", None),
                [pointer for pointer in pointers if pointer.asset == asset.name],
                health_of(stores.readings, asset, now),
            )
            for asset in assets
        ],
        incidents=incidents,
        tables={table: stores.lake.version(table) or 0 for table in stores.lake.tables()},
        holder=stores.leases.holder(LEASE),
        quarantined=quarantined_by_origin(stores.lake),
        doing={incident: told for incident, told in doing.items() if told},
        paused={asset: why for asset, why in pauses.items() if why},
        approvals=approvals,
        alerts=alerts,
        telemetry=telemetry,
    )


def _spans(settings: TelemetrySettings, session: LedgerSession) -> str:
    """What is wrong with the sending of spans and evaluations; empty when nothing is, or none are to be sent."""
    if not settings.otlp_url:
        return ""
    from perdure.loop.telemetry import RUN_SPANS, find_sent
    from perdure.loop.telemetry_evals import find_told

    found = (("span", find_sent(session)), ("span", find_sent(session, RUN_SPANS)), ("evaluation", find_told(session)))
    return "; ".join(_unsent(what, sent) for what, sent in found if sent is not None and sent.problem)


def _unsent(what: str, sent: SpansSent | EvaluationsSent) -> str:
    refused = f", {counted(sent.n_given_up, what)} given up" if sent.n_given_up else ""
    return f"{what}s wait{refused}; last try: {sent.problem}" if sent.n_failed else f"last try: {sent.problem}{refused}"

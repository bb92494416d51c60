"""The incidents role: open and closed stretches of ill health."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Row, select

from perdure.core.clock import from_us, iso, to_us
from perdure.core.errors import Refused, not_found
from perdure.core.ids import new_id
from perdure.stores.ledger.chain import json_text
from perdure.stores.ledger.protocols import Incident
from perdure.stores.ledger.schema import incidents
from perdure.stores.ledger.scope import Change, Scope, Write


class SqlIncidents:
    """Incidents, over one snapshot or transaction."""

    __slots__ = ("_scope",)

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def open(self, asset: str, kind: str, summary: str, facts: Mapping[str, Any]) -> Incident:
        """Open an incident, or return the one already open for this asset and kind."""
        author = self._scope.writing()
        present = self._find_open(asset, kind)
        if present is not None:
            return present
        incident = Incident(new_id("inc"), asset, kind, summary, author.at, facts=json.loads(json_text(facts)))
        self._save("incidents.open", incident, summary, replaces=False)
        return incident

    def _find_open(self, asset: str, kind: str) -> Incident | None:
        query = select(incidents).where(
            incidents.c.project == self._scope.project,
            incidents.c.asset == asset,
            incidents.c.kind == kind,
            incidents.c.closed_us.is_(None),
        )
        stored = self._scope.connection.execute(query).one_or_none()
        return None if stored is None else _incident(stored)

    def update(
        self, incident_id: str, *, kind: str | None = None, summary: str | None = None, facts: Mapping[str, Any]
    ) -> Incident:
        """Replace kind and summary, where given, and put facts beside or in the place of the incident's own.

        A kind that another open incident of the asset has is not taken on: there is one of each.

        Raises:
            NotFound: no such incident.
            Refused: it is closed.
        """
        self._scope.writing()
        stored = self.get(incident_id)
        if stored.closed_at is not None:
            raise Refused(
                f"The incident {incident_id!r} was closed at {iso(stored.closed_at)}: it does not change any more.",
                hint="Open a new one.",
            )
        merged = json.loads(json_text({**stored.facts, **facts}))
        if kind is None or self._find_open(stored.asset, kind) is not None:
            kind = stored.kind
        incident = replace(stored, kind=kind, summary=stored.summary if summary is None else summary, facts=merged)
        if incident != stored:
            self._save("incidents.update", incident, incident.summary, replaces=True)
        return incident

    def close(self, incident_id: str, summary: str) -> Incident:
        """Close with how it ended; one that is closed already stays as it is.

        Raises:
            NotFound: no such incident.
        """
        author = self._scope.writing()
        stored = self.get(incident_id)
        if stored.closed_at is not None:
            return stored
        incident = replace(stored, closed_at=author.at, closing=summary)
        self._save("incidents.close", incident, summary, replaces=True)
        return incident

    def get(self, incident_id: str) -> Incident:
        """The incident of an id.

        Raises:
            NotFound: no such incident; the message names the nearest.
        """
        query = select(incidents).where(incidents.c.project == self._scope.project, incidents.c.id == incident_id)
        stored = self._scope.connection.execute(query).one_or_none()
        if stored is None:
            known = select(incidents.c.id).where(incidents.c.project == self._scope.project)
            raise not_found("incident", incident_id, self._scope.connection.scalars(known))
        return _incident(stored)

    def _save(self, action: str, incident: Incident, summary: str, *, replaces: bool) -> None:
        row = {
            "project": self._scope.project,
            "id": incident.id,
            "asset": incident.asset,
            "kind": incident.kind,
            "summary": incident.summary,
            "closing": incident.closing,
            "opened_us": to_us(incident.opened_at),
            "closed_us": None if incident.closed_at is None else to_us(incident.closed_at),
            "facts": json_text(incident.facts),
            "actor": self._scope.writing().actor,
        }
        said = {"incident": incident.id, "kind": incident.kind, "summary": summary}
        self._scope.save(Change(action, incident.asset, said), [Write(incidents, row, replaces=replaces)])

    def list(self, *, open_only: bool = False, asset: str | None = None, limit: int | None = None) -> list[Incident]:
        """Incidents in the order in which they were opened; with `limit` only so many of the newest."""
        query = select(incidents).where(incidents.c.project == self._scope.project)
        if open_only:
            query = query.where(incidents.c.closed_us.is_(None))
        if asset is not None:
            query = query.where(incidents.c.asset == asset)
        newest_first = query.order_by(incidents.c.opened_us.desc(), incidents.c.id.desc()).limit(limit)
        return [_incident(row) for row in self._scope.connection.execute(newest_first)][::-1]


def _incident(row: Row[Any]) -> Incident:
    return Incident(
        id=row.id,
        asset=row.asset,
        kind=row.kind,
        summary=row.summary,
        opened_at=from_us(row.opened_us),
        closed_at=None if row.closed_us is None else from_us(row.closed_us),
        facts=json.loads(row.facts),
        closing=row.closing,
    )

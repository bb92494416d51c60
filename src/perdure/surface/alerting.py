"""Verbs of alerts: what was told to whom, what waits, and a test of the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from perdure.core.clock import iso, parse_at
from perdure.core.errors import NotReady, UpstreamError
from perdure.core.ids import new_id
from perdure.surface.opened import Opened, When, instant_of

if TYPE_CHECKING:
    from perdure.core.settings import AlertSettings
    from perdure.loop.alerts import Outbox
    from perdure.stores.ledger.protocols import AuditEntry, LedgerSession


@dataclass(frozen=True, slots=True)
class Tried:
    """One try to deliver an alert, as the ledger keeps it."""

    at: datetime
    """Machine time."""
    delivery: str
    asset: str
    incident: str | None
    events: Sequence[str]
    attempt: int
    status: int | None
    """HTTP status; None where no answer came."""
    delivered: bool
    error: str
    again_at: datetime | None
    """Machine time of the next try; None where there is none."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """An alert that is not delivered yet."""

    delivery: str
    asset: str
    incident: str | None
    events: Sequence[str]
    since: datetime
    """Machine time."""
    attempts: int
    next_at: datetime
    """Machine time before which it is not tried."""


@dataclass(frozen=True, slots=True)
class Told:
    """Alerts as they stand."""

    to: str
    """The receiver's host, for its address may be a secret; empty: nobody is told."""
    format: str
    tried: Sequence[Tried]
    """Oldest first."""
    waiting: Sequence[Waiting]
    n_given_up: int
    """Given up since the last one that arrived."""
    problem: str
    """What the last try came to, where it failed."""


class Alerting(Opened):
    """Alerts of a project."""

    def alerts(self, *, limit: int = 20) -> Told:
        """The newest tries to deliver, what waits, and what went wrong."""
        from perdure.loop.alerts import find_outbox

        settings = self.settings.alerts
        with self._ledger.read() as session:
            outbox = find_outbox(session)
            tried = [_tried(entry) for entry in _entries(session)][-limit:]
        return Told(
            to=host_of(settings),
            format=settings.format,
            tried=tried,
            waiting=_waiting(outbox) if outbox else (),
            n_given_up=outbox.n_given_up if outbox else 0,
            problem=outbox.problem if outbox else "",
        )

    def test_alert(self, *, at: When = None) -> Tried:
        """Send a test to the address of the settings, now and once; the ledger keeps what came of it.

        Raises:
            NotReady: no address is set.
            BadSettings: the secret is not in the environment.
            UpstreamError: the receiver did not answer 2xx.
        """
        from perdure.loop.alerts import ALERTS, TESTED
        from perdure.surface.compose import make_sender

        sender = make_sender(self.settings)
        if sender is None:
            raise NotReady("Nobody is told of incidents.", hint="Set `url` under [alerts], or PERDURE_ALERTS_URL.")
        delivery, now = new_id("dlv"), instant_of(at)
        answer = sender.send(delivery, 1, _test_body(delivery, self.settings.project.name, now))
        facts = {"delivery": delivery, "incident": None, "asset": "", "events": ["test"], "attempt": 1,
                 "status": answer.status, "error": "" if answer.delivered else answer.text, "again_at": ""}  # fmt: skip
        with self._ledger.transaction(actor=self.actor, at=now, reason="test of alerts") as session:
            tried = _tried(session.audit.append(TESTED, ALERTS, facts))
        if not answer.delivered:
            raise UpstreamError(
                f"The test alert to {host_of(self.settings.alerts)} did not arrive: {answer.text}.",
                hint="Check the address, the receiver and the secret.",
                status=answer.status,
            )
        return tried


def problem_of(settings: AlertSettings, session: LedgerSession) -> str:
    """What is wrong with delivery, in a sentence; empty when nothing is, or nobody is to be told."""
    from perdure.loop.alerts import find_outbox

    outbox = find_outbox(session) if settings.url else None
    if outbox is None or not outbox.problem:
        return ""
    parts = [
        f"{len(outbox.pending)} waiting" if outbox.pending else "",
        f"{outbox.n_given_up} given up" if outbox.n_given_up else "",
    ]
    return f"{', '.join(part for part in parts if part)}; last try to {host_of(settings)}: {outbox.problem}"


def host_of(settings: AlertSettings) -> str:
    """The host and port of the address; empty without one."""
    parts = urlsplit(settings.url)
    return f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname or ""


def _test_body(delivery: str, project: str, now: datetime) -> dict[str, Any]:
    text = f"A test of the alerts of {project}: nothing is wrong."
    return {
        "delivery": delivery,
        "project": project,
        "event": "test",
        "events": [{"event": "test", "at": iso(now), "text": text}],
        "asset": project,
        "kind": "test",
        "incident": None,
        "summary": text,
        "opened_at": iso(now),
        "closed_at": None,
        "causes": [],
        "doing": "",
        "look": "perdure alerts",
    }


def _entries(session: LedgerSession) -> list[AuditEntry]:
    from perdure.loop.alerts import ALERTS
    from perdure.surface.governance.entries import entries

    return [entry for entry in entries(session, subject=ALERTS) if entry.action.startswith(f"{ALERTS}.")]


def _tried(entry: AuditEntry) -> Tried:
    facts = entry.facts
    return Tried(
        at=entry.recorded_at,
        delivery=facts["delivery"],
        asset=facts["asset"],
        incident=facts["incident"],
        events=facts["events"],
        attempt=facts["attempt"],
        status=facts["status"],
        delivered=not facts["error"],
        error=facts["error"],
        again_at=parse_at(facts["again_at"]) if facts["again_at"] else None,
    )


def _waiting(outbox: Outbox) -> list[Waiting]:
    return [
        Waiting(
            delivery=each.id,
            asset=each.body["asset"],
            incident=each.body["incident"],
            events=[change.event for change in each.happened],
            since=parse_at(each.made_at),
            attempts=each.attempts,
            next_at=max(parse_at(each.not_before), parse_at(outbox.next_at or each.not_before)),
        )
        for each in outbox.pending
    ]

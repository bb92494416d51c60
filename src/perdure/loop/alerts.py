"""Alerts, the last of a round: whoever is on call is told what happened to an incident, once, in its order.

    audit chain → changes → outbox → sender → delivered | tried again | given up

The ledger's cursor `alerts` is the outbox: how far the chain was read, and what is not delivered yet.
Both change in one transaction, so nothing is lost and nothing told twice; what was tried is written
down after each try, with the HTTP status. A crash in between sends again, under the same delivery id:
at least once, and a receiver that knows the id takes it once. All waiting is on the machine's clock.

The address as a whole waits after a failure: a receiver that is down costs a round one time-out, and
only now and then. Then the delivery that was tried least often goes first, so that one which the
receiver chokes on holds up no other incident's; of one incident they go out in order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

import msgspec

from perdure.core.canonical import content_hash, plain
from perdure.core.clock import Clock, MachineClock, iso, monotonic_s, parse_at
from perdure.core.errors import NotReady
from perdure.core.settings import AlertSettings
from perdure.core.units import hours, seconds
from perdure.durable.retry import Retry
from perdure.loop.changes import Change, changes, message, standing
from perdure.loop.protocols import Workplace
from perdure.stores.ledger.protocols import AuditEntry, Incident, LedgerSession

ALERTS = "alerts"
"""The outbox's cursor, and the subject of the audit's entries about deliveries."""
DELIVERED, FAILED, TESTED = "alerts.delivered", "alerts.failed", "alerts.tested"
"""Actions of those entries."""
_AT_MOST = 5
"""Deliveries a round: a round stays short, and the next one goes on."""
_WAITS = Retry(first_s=5.0, longest_s=600.0)
_TRY_AGAIN = (408, 425, 429)
_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back of a try."""

    status: int | None
    """HTTP status; None where no answer came."""
    error: str = ""
    """Why none came, in words."""
    retry_after_s: float = 0.0
    """How long the receiver asks to be left alone."""

    @property
    def delivered(self) -> bool:
        """Whether the receiver has it: nothing else than 2xx says so."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def final(self) -> bool:
        """Whether trying again would come to the same: an answer that is neither 2xx nor asks for another try."""
        return not self.delivered and self.status is not None and self.status < 500 and self.status not in _TRY_AGAIN

    @property
    def text(self) -> str:
        """The answer in words."""
        if self.status is None:
            return self.error
        return f"HTTP {self.status}" + (", and redirects are not followed" if 300 <= self.status < 400 else "")


class Sender(Protocol):
    """Sends one message."""

    def send(self, delivery: str, attempt: int, body: Mapping[str, Any]) -> Answer:
        """Try once, within the time-out; what the network does wrong is in the answer, never raised.

        :raises BadSettings: it cannot be sent as the settings say, such as without the secret to sign with.
        """
        ...


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message on its way."""

    id: str
    about: str
    """The incident's id; of a question without one, the question's."""
    happened: tuple[Change, ...]
    body: Mapping[str, Any]
    made_at: str
    """Machine time."""
    not_before: str
    """Machine time; until then later changes of the incident join it."""
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class Outbox:
    """What the cursor holds."""

    after: int
    """Sequence number of the chain's entry up to which everything worth telling is in here, or was."""
    pending: tuple[Delivery, ...] = ()
    told: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Open incident → keys of what was told."""
    told_at: Mapping[str, str] = field(default_factory=dict)
    """Open incident → machine time of its newest message."""
    n_failed: int = 0
    """Tries in a row, up to now, that failed and will be repeated."""
    next_at: str = ""
    """Machine time before which nothing is tried; empty when anything may."""
    n_given_up: int = 0
    """Deliveries that were given up since the last one that arrived."""
    problem: str = ""
    """What the last try that failed came to; empty again once one arrives."""


def find_outbox(session: LedgerSession) -> Outbox | None:
    """The outbox as it stands; None before the first alert's round."""
    kept = session.cursors.get(ALERTS)
    return None if kept is None else msgspec.convert(kept, Outbox)


class Alerts:
    """Tells of incidents.

    Args:
        settings: how long to wait and to keep.
        sender: takes the messages out.
        doing: what is done about an open incident, in words.
        clock: the machine's.
    """

    def __init__(
        self,
        settings: AlertSettings,
        sender: Sender,
        doing: Callable[[LedgerSession, Incident], str],
        clock: Clock | None = None,
    ) -> None:
        self._settings = settings
        self._sender = sender
        self._doing = doing
        self._clock = clock or MachineClock()
        self._read_to = -1
        self._idle = False

    def run(self, place: Workplace, now: datetime) -> None:
        """Put what is new into the outbox, and deliver what is due. Cost: one number read when there is nothing.

        Raises:
            LostLease: another worker took over, and sends again what was not yet written down.
            BadSettings: it cannot be sent as the settings say; it stays in the outbox.
        """
        sequence = place.stores.ledger.sequence()
        if self._idle and sequence == self._read_to:
            return
        self._idle = False
        outbox = self._collect(place, now, sequence)
        until = monotonic_s() + self._settings.timeout_s
        for _ in range(_AT_MOST):
            outbox = self._give_up(place, now, outbox)
            due = self._due(outbox)
            if due is None or monotonic_s() >= until:
                break
            outbox = self._deliver(place, now, outbox, due)
        self._idle = not outbox.pending

    # What is new

    def _collect(self, place: Workplace, now: datetime, sequence: int) -> Outbox:
        with place.stores.ledger.read() as session:
            outbox = find_outbox(session)
            if outbox is None:
                found = standing(session)
            else:
                entries = _entries(session, max(outbox.after, self._read_to))
                # People write without the lease: there may be more by now than the number said.
                sequence = max([sequence, *(entry.sequence for entry in entries[-1:])])
                since = self._clock.now() - self._kept
                found = changes(session, [entry for entry in entries if entry.recorded_at >= since], outbox.told)
        if outbox is None or found:
            with place.transaction(now, ALERTS) as session:
                outbox = self._with(session, place.project, replace(outbox or Outbox(0), after=sequence), found)
                _keep(session, outbox)
        self._read_to = sequence
        return outbox

    @property
    def _kept(self) -> timedelta:
        return hours(self._settings.keep_h)

    def _with(self, session: LedgerSession, project: str, outbox: Outbox, found: Sequence[Change]) -> Outbox:
        """The outbox with one more message an incident, or with what waits for its time brought up to date."""
        incidents = {incident.id: incident for incident in session.incidents.list()}
        pending, told_at = list(outbox.pending), dict(outbox.told_at)
        for about in dict.fromkeys(change.about for change in found):
            new = tuple(change for change in found if change.about == about)
            joined = next((each for each in pending if each.about == about and self._waits(each)), None)
            if joined is not None:
                pending.remove(joined)
                new = (*joined.happened, *new)
            made = self._message(session, project, incidents.get(about), new)
            not_before = joined.not_before if joined else self._not_before(told_at.get(about))
            pending.append(replace(made, not_before=not_before))
            told_at[about] = not_before
        is_open = {incident.id for incident in incidents.values() if incident.closed_at is None}
        told = {about: tuple(keys) for about, keys in _told(outbox.told, found).items() if about in is_open}
        told_at = {about: at for about, at in told_at.items() if about in is_open}
        return replace(outbox, pending=tuple(pending), told=told, told_at=told_at)

    def _waits(self, delivery: Delivery) -> bool:
        """It was never tried, for sure: a try that a crash kept from being written down comes after its time."""
        return delivery.attempts == 0 and parse_at(delivery.not_before) > self._clock.now()

    def _not_before(self, told_at: str | None) -> str:
        now = self._clock.now()
        return iso(max(now, parse_at(told_at) + seconds(self._settings.min_interval_s)) if told_at else now)

    def _message(
        self, session: LedgerSession, project: str, about: Incident | None, happened: tuple[Change, ...]
    ) -> Delivery:
        doing = self._doing(session, about) if about is not None and about.closed_at is None else ""
        # Of the changes alone: a message that is made anew from the same ones has the same id.
        delivery = f"dlv_{content_hash([project, happened[0].about, plain(happened)])[:24]}"
        body = {"delivery": delivery, "project": project, **message(about, happened, doing)}
        at = iso(self._clock.now())
        return Delivery(delivery, happened[0].about, happened, body, at, at)

    # What is due

    def _due(self, outbox: Outbox) -> Delivery | None:
        """Of every incident's first message that may go now, the one that was tried least often."""
        now = self._clock.now()
        if outbox.next_at and now < parse_at(outbox.next_at):
            return None
        first = {each.about: each for each in reversed(outbox.pending)}
        due = [each for each in outbox.pending if first[each.about] is each and parse_at(each.not_before) <= now]
        return min(due, key=lambda each: each.attempts, default=None)

    def _deliver(self, place: Workplace, now: datetime, outbox: Outbox, due: Delivery) -> Outbox:
        answer = self._sender.send(due.id, due.attempts + 1, due.body)
        due = replace(due, attempts=due.attempts + 1)
        if answer.delivered:
            after = replace(_without(outbox, due), n_failed=0, next_at="", n_given_up=0, problem="")
        elif answer.final:
            after = replace(_without(outbox, due), n_given_up=outbox.n_given_up + 1, problem=answer.text)
        else:
            after = replace(self._later(outbox, answer), pending=_replaced(outbox.pending, due))
        again_at = after.next_at if due in after.pending else ""
        self._write(place, now, after, DELIVERED if answer.delivered else FAILED, _facts(due, answer, again_at))
        return after

    def _later(self, outbox: Outbox, answer: Answer) -> Outbox:
        """The address waits: longer each time, and as long as it asks to."""
        n_failed = outbox.n_failed + 1
        asked_s = min(answer.retry_after_s, self._kept.total_seconds())
        wait_s = _WAITS.wait_s(n_failed, NotReady(answer.text, delay_s=asked_s))
        next_at = iso(self._clock.now() + seconds(wait_s))
        return replace(outbox, n_failed=n_failed, next_at=next_at, problem=answer.text)

    def _give_up(self, place: Workplace, now: datetime, outbox: Outbox) -> Outbox:
        """Without what was kept too long."""
        since = self._clock.now() - self._kept
        for old in [each for each in outbox.pending if parse_at(each.made_at) < since]:
            outbox = replace(_without(outbox, old), n_given_up=outbox.n_given_up + 1)
            why = f"given up after {self._settings.keep_h:g} h; last: {outbox.problem or 'never tried'}"
            self._write(place, now, outbox, FAILED, _facts(old, Answer(None, why), ""))
        return outbox

    def _write(self, place: Workplace, now: datetime, outbox: Outbox, action: str, facts: Mapping[str, Any]) -> None:
        with place.transaction(now, ALERTS) as session:
            session.audit.append(action, ALERTS, facts)
            _keep(session, outbox)


def _entries(session: LedgerSession, after: int) -> list[AuditEntry]:
    found = list[AuditEntry]()
    while True:
        page = session.audit.list(after=found[-1].sequence if found else after, limit=_PAGE)
        found += page
        if len(page) < _PAGE:
            return found


def _keep(session: LedgerSession, outbox: Outbox) -> None:
    session.cursors.put(ALERTS, plain(outbox))


def _told(told: Mapping[str, Sequence[str]], found: Sequence[Change]) -> dict[str, list[str]]:
    known = {about: list(keys) for about, keys in told.items()}
    for change in found:
        if change.key:
            known.setdefault(change.about, []).append(change.key)
    return known


def _without(outbox: Outbox, gone: Delivery) -> Outbox:
    return replace(outbox, pending=tuple(each for each in outbox.pending if each.id != gone.id))


def _replaced(pending: Sequence[Delivery], new: Delivery) -> tuple[Delivery, ...]:
    return tuple(new if each.id == new.id else each for each in pending)


def _facts(delivery: Delivery, answer: Answer, again_at: str) -> dict[str, Any]:
    """What the chain keeps of a try. `again_at` is machine time; empty where there is no further one."""
    return {
        "delivery": delivery.id,
        "incident": delivery.body["incident"],
        "asset": delivery.body["asset"],
        "events": [change.event for change in delivery.happened],
        "attempt": delivery.attempts,
        "status": answer.status,
        "error": "" if answer.delivered else answer.text,
        "again_at": again_at,
    }

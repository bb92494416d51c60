"""Verbs of looking after: who takes an incident, snoozes it, hands it on; and what people write on a model's card.

Anybody of the project may, with a reason that is kept. None of them touches what runs: for that there are approvals, pauses and ways back.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from perdure.core.errors import NotFound
from perdure.surface.governance.roles import reason_of
from perdure.surface.governing import Governing
from perdure.surface.opened import When, instant_of

if TYPE_CHECKING:
    from perdure.surface.governance.card_text import CardText
    from perdure.surface.governance.handing import HandOff, Taken
    from perdure.surface.governance.snoozing import Snoozed


class Tending(Governing):
    """Incidents looked after, hand-offs, and cards edited."""

    def take_over(self, target: str, *, reason: str, at: When = None) -> Taken | HandOff:
        """Say that one looks after an incident, or takes a hand-off; whoever had the incident has it no longer.

        A hand-off about an incident that was closed meanwhile is taken off the list.

        Args:
            target: an incident's id or a hand-off's, or how it begins.
            reason: kept.
            at: domain time.

        Raises:
            DeclarationError: no reason.
            NotFound: neither an incident nor an open hand-off.
            Refused: the incident is closed.
        """
        from perdure.surface.governance.entries import by_beginning
        from perdure.surface.governance.handing import Taken, list_hand_offs, take_hand_off, take_incident
        from perdure.surface.governance.story import find_incident

        why, now = reason_of(reason, "Taking over"), instant_of(at)
        with self._ledger.transaction(actor=self.actor, at=now, reason=why) as session:
            about = target
            if target.startswith("hnd_"):
                open_now = {each.id: each for each in list_hand_offs(session)}
                given = open_now[by_beginning("open hand-off", target, open_now)]
                if given.about == given.asset or session.incidents.get(given.about).closed_at is not None:
                    return take_hand_off(session, given.id)
                about = given.about
            incident = find_incident(session, about)
            taken = Taken(incident.id, self.actor, now, why)
            take_incident(session, incident, taken)
            return taken

    def hand_off(self, target: str, *, to: str = "", duty: str = "", reason: str, at: When = None) -> HandOff:
        """Ask another person, or whoever has a duty, to look after an incident or an asset; it stands in their inbox.

        Args:
            target: an incident's id, or how it begins; or an asset's name.
            to: a person.
            duty: `data_engineer`, `analyst`, `data_scientist`, `ml_engineer`, `reviewer`, `on_call`, `prompt_author` or `owner`.
            reason: what is to be done, and why; kept.
            at: domain time.

        Raises:
            DeclarationError: no reason; neither a person nor a duty, or both; or to oneself.
            NotFound: no such incident, asset, person or duty.
            Refused: the incident is closed.
        """
        from perdure.surface.governance.handing import HandOff, give, new_hand_off_id

        why, now = reason_of(reason, "A hand-off"), instant_of(at)
        about, asset = self._about(target)
        made = HandOff(new_hand_off_id(), about, asset, self.actor, to, duty, why, now)
        with self._ledger.transaction(actor=self.actor, at=now, reason=why) as session:
            return give(session, made, dict.fromkeys(self.known_people()))

    def hand_offs(self) -> list[HandOff]:
        """What was handed off and nobody has taken yet, in the order in which it was given."""
        from perdure.surface.governance.handing import list_hand_offs

        with self._ledger.read() as session:
            return list_hand_offs(session)

    def known_people(self) -> list[str]:
        """Names of those that something may be handed to: whoever has a role, and the project's actor."""
        people = self.people
        return sorted({people.owner, *(name for names in people.roles.values() for name in names)})

    def snooze(self, incident: str, *, until: When, reason: str, at: When = None) -> Snoozed:
        """Let an incident ask for nobody until an instant; it stays open, and the loop repairs what it may.

        Args:
            incident: its id, or how it begins.
            until: domain time at which it asks again.
            reason: kept.
            at: domain time.

        Raises:
            DeclarationError: no reason, or an end that has passed.
            NotFound: no such incident.
            Refused: it is closed.
        """
        from perdure.surface.governance.snoozing import Snoozed, put_snooze
        from perdure.surface.governance.story import find_incident

        why, now = reason_of(reason, "A snooze"), instant_of(at)
        with self._ledger.transaction(actor=self.actor, at=now, reason=why) as session:
            found = find_incident(session, incident)
            made = Snoozed(found.id, self.actor, now, instant_of(until), why)
            put_snooze(session, found, made)
            return made

    def wake(self, incident: str, *, reason: str, at: When = None) -> bool:
        """End a snooze before its time; False when there was none."""
        from perdure.surface.governance.snoozing import end_snooze
        from perdure.surface.governance.story import find_incident

        why, now = reason_of(reason, "The end of a snooze"), instant_of(at)
        with self._ledger.transaction(actor=self.actor, at=now, reason=why) as session:
            return end_snooze(session, find_incident(session, incident), now)

    def snoozed(self, *, at: When = None) -> list[Snoozed]:
        """Incidents that ask for nobody at an instant."""
        from perdure.surface.governance.snoozing import list_snoozed

        with self._ledger.read() as session:
            return list(list_snoozed(session, instant_of(at)).values())

    def edit_card(self, model: str, text: str, *, reason: str, base: str | None = None, at: When = None) -> CardText:
        """Write what people say on a model's card; each edit is a version, and a text that holds already makes none.

        Args:
            model: whose card.
            text: the whole text: paragraphs with an empty line between them, `## ` before a heading.
            reason: kept.
            base: version of the card that the text was made from; None: whatever holds now.
            at: domain time.

        Raises:
            DeclarationError: no reason, or an empty text.
            BadRequest: it is too long.
            NotFound: no such model.
            Conflict: somebody changed the card since `base`.
        """
        from perdure.surface.governance.card_text import Edit, put_text
        from perdure.surface.governance.cards import card_markdown

        why, now = reason_of(reason, "An edit of a card"), instant_of(at)
        made = self.card(model, at=now)
        answers = made.version.id if made.version else ""
        edit = Edit(made.model, text, why, base, answers, card_markdown(replace(made, text=None)))
        with self._ledger.transaction(actor=self.actor, at=now, reason=why) as session:
            return put_text(session, edit, self.actor, now)

    def card_text(self, model: str, *, version: str = "") -> CardText | None:
        """What people wrote on a model's card: the text that holds, or one of a version; None where nobody wrote any.

        Raises:
            NotFound: no such model or version.
        """
        from perdure.surface.governance.card_text import find_text

        with self._ledger.read() as session:
            return find_text(session, self.project.model(model).name, version)

    def _about(self, target: str) -> tuple[str, str]:
        """What a hand-off is about, and its asset.

        Raises:
            NotFound: neither an incident nor an asset.
            Refused: the incident is closed.
        """
        from perdure.core.errors import Refused
        from perdure.surface.governance.story import find_incident

        try:
            asset = self._watched(target).name
        except NotFound:
            with self._ledger.read() as session:
                incident = find_incident(session, target)
            if incident.closed_at is not None:
                raise Refused(f"The incident {incident.id!r} is closed.", hint="Hand its asset off instead.") from None
            return incident.id, incident.asset
        return asset, asset

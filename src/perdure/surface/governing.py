"""Verbs of governance: who decided what and why, and what people say to it.

Whoever acts gives a reason, which is kept. Answers to questions need the role that was asked for. A
pause and a way back are brakes: anybody of the project may pull them, and the history says who did.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from perdure.core.errors import BadRequest, not_found
from perdure.surface.governance.roles import People, reason_of
from perdure.surface.governance.run_waits import RunSaid
from perdure.surface.opened import Opened, When, instant_of

if TYPE_CHECKING:
    from perdure.assets.policy import Autonomy
    from perdure.loop.protocols import Watched
    from perdure.loop.release import Move
    from perdure.stores.ledger.protocols import Approval, Incident, Job
    from perdure.surface.governance.cards import Card
    from perdure.surface.governance.evidence import Pack
    from perdure.surface.governance.history import HistoryRow
    from perdure.surface.governance.maturity import Maturity
    from perdure.surface.governance.replaying import Replayed
    from perdure.surface.governance.story import Story
    from perdure.surface.inbox import Inbox


class Governing(Opened):
    """Approvals, history, stories, brakes, cards and evidence of a project."""

    @property
    def people(self) -> People:
        """Who has which role: those of `[roles]`, and the ledger's."""
        with self._ledger.read() as session:
            return People.of(self.settings, session.people.list(open_only=False))

    def approvals(self, *, asset: str | None = None, open_only: bool = True) -> list[Approval]:
        """Questions to people, in the order in which they were asked, with their evidence."""
        with self._ledger.read() as session:
            return session.approvals.list(asset=asset, open_only=open_only)

    def inbox(self, *, asset: str | None = None) -> Inbox:
        """Everything that waits for a person: questions of releases and repairs, and of runs of agents and graphs."""
        from perdure.surface.inbox import read_inbox

        return read_inbox(self, asset)

    def approve(self, question: str, *, reason: str, value: Any = None, at: When = None) -> Approval:
        """Say yes to a question, of a run too; its id may be shortened. A second answer of one person changes nothing.

        Args:
            question: its id, or how it begins.
            reason: kept.
            value: of a run's question: arguments that are used in the place of what was asked, or what an effect gave.
            at: domain time of the answer.

        Raises:
            DeclarationError: no reason.
            NotFound: no such question, or its role is not declared.
            Refused: the actor has not the role, asked it where two must answer, or it is decided.
        """
        return self._answer(question, RunSaid(True, reason, value), at)

    def reject(self, question: str, *, reason: str, at: When = None) -> Approval:
        """Say no to a question: one no is enough. Raises as `approve` does."""
        return self._answer(question, RunSaid(False, reason), at)

    def _answer(self, question: str, said: RunSaid, at: When) -> Approval:
        from perdure.surface.governance.approvals import Said, answer
        from perdure.surface.inbox import answer_wait, find_wait

        wait = find_wait(self, question)
        if wait or question.startswith("wait_"):
            return answer_wait(self, wait or question, said, instant_of(at))
        if said.value is not None:
            raise BadRequest("This question takes no value: it is not a run's.", hint="perdure inbox")
        told = Said(question, said.approves, said.reason)
        return answer(self._ledger, self.people, self.actor, told, instant_of(at))

    def rollback(self, asset: str, *, reason: str, to: str | None = None, at: When = None) -> Move:
        """Point the champion back: to a version that was it, or to the one that answered before. It is proven to load first.

        To the champion itself it ends a release under way.

        Raises:
            DeclarationError: no reason.
            NotFound: no such asset or version, or none answered before.
            Refused: the version was never the champion, or does not load or answer; nothing was changed.
        """
        from perdure.loop.release import roll_back
        from perdure.surface.compose import kinds

        why, watched = reason_of(reason, "A way back"), self._watched(asset)
        return roll_back(self.place, kinds()[watched.kind], watched, instant_of(at), to=to, reason=why)

    def pause(self, asset: str, *, reason: str, until: When = None, at: When = None) -> None:
        """Repair and release nothing of an asset, until an instant or until it is resumed; measuring goes on.

        Raises:
            DeclarationError: no reason, or an end that has passed.
            NotFound: no such asset.
        """
        from perdure.loop.pausing import pause

        end = None if until is None else instant_of(until)
        pause(self.place, self._watched(asset).name, instant_of(at), reason_of(reason, "A pause"), end)

    def resume(self, asset: str, *, reason: str, at: When = None) -> bool:
        """End a pause; False when there was none."""
        from perdure.loop.pausing import resume

        return resume(self.place, self._watched(asset).name, instant_of(at), reason_of(reason, "The end of a pause"))

    def history(self, asset: str) -> list[HistoryRow]:
        """Every move of an asset's pointers: who, when, why, on which evidence, with whose yes."""
        from perdure.surface.governance.history import history

        with self._ledger.read() as session:
            rows = history(session, asset)
            if not rows and asset not in (known := {record.name for record in session.registry.list_assets()}):
                raise not_found("asset", asset, known)
            return rows

    def incidents(self, *, open_only: bool = True) -> list[Incident]:
        """Stretches of ill health, in the order in which they were opened."""
        with self._ledger.read() as session:
            return session.incidents.list(open_only=open_only)

    def explain(self, target: str) -> Story:
        """The story of an incident, whose id may be shortened, or of the newest one of an asset.

        Raises:
            NotFound: neither an incident nor an asset of that name.
            BadRequest: several incidents begin so.
        """
        from perdure.surface.governance.story import find_story

        return find_story(self._ledger, self._readings, target)

    def replay(self, target: str | None = None) -> Replayed:
        """Make every decision of a story again, or of the whole project, and compare byte for byte.

        Raises:
            Refused: a decision comes out otherwise, or its entry was changed; the message names the first.
        """
        from perdure.surface.governance.replaying import replay, replay_all

        story = None if target is None else self.explain(target)
        with self._ledger.read() as session:
            return replay_all(session) if story is None else replay(session, story)

    def maturity(self) -> list[Maturity]:
        """The stage of each asset, with what the next one lacks."""
        from perdure.surface.compose import watched_assets
        from perdure.surface.governance.maturity import maturity

        cap: Autonomy = self.settings.loop.autonomy  # type: ignore[assignment]  # the settings check it
        with self._ledger.read() as session:
            return maturity(session, watched_assets(self.project), cap)

    def jobs(self, *, asset: str | None = None, open_only: bool = True) -> list[Job]:
        """Durable work, newest first: what runs, what is parked and why."""
        with self._ledger.read() as session:
            return session.jobs.list(subject=asset, open_only=open_only)

    def cancel(self, job: str, *, reason: str, at: When = None) -> Job:
        """Cancel a job, whose id may be shortened; one that has ended stays as it is. It ends in the next round.

        Raises:
            DeclarationError: no reason.
            NotFound: no such job.
        """
        from perdure.durable.engine import Durable
        from perdure.surface.governance.entries import by_beginning

        why = reason_of(reason, "A cancellation")
        known = [each.id for each in self.jobs(open_only=False)]
        durable = Durable(self._ledger, (), actor=self.actor)
        return durable.cancel(by_beginning("job", job, known), instant_of(at), why)

    def card(self, model: str, *, at: When = None) -> Card:
        """A model's card, made from the records.

        Raises:
            NotFound: no such model.
        """
        from perdure.surface.governance.cards import card

        watched = self._alone("model", self.project.model(model))
        with self._ledger.read() as session:
            return card(session, self._readings, watched, instant_of(at))

    def evidence(self, incident: str, folder: str | Path, *, at: When = None) -> Pack:
        """Write an incident's evidence pack into a new folder.

        Raises:
            NotFound: no such incident.
            BadRequest: the folder holds something.
            Corrupt: the chain is broken.
        """
        from perdure.surface.governance.cards import card_markdown
        from perdure.surface.governance.evidence import write_pack

        story = self.explain(incident)
        card = card_markdown(self.card(story.asset, at=at)) if story.asset in self.project.models else None
        return write_pack(self._ledger, story, card, Path(folder))

    def check_evidence(self, folder: str | Path) -> Pack:
        """Check an evidence pack against itself and against the ledger.

        Raises:
            NotFound: there is no pack.
            Corrupt: something does not fit; the message says what.
        """
        from perdure.surface.governance.evidence import check_pack

        return check_pack(self._ledger, Path(folder))

    def _alone(self, kind: str, declared: Any) -> Watched:
        """One model or source as the loop sees it; of it alone, for a project may have thousands."""
        from perdure.assets.project import Project
        from perdure.surface.compose import watched_assets

        alone = watched_assets(Project.of(self.project.name, declared))
        return next(each for each in alone if (each.kind, each.name) == (kind, declared.name))

    def _watched(self, asset: str) -> Watched:
        from perdure.surface.compose import watched_assets

        for kind, many in (("model", self.project.models), ("source", self.project.sources)):
            if asset in many:
                return self._alone(kind, many[asset])
        known = {each.name: each for each in watched_assets(self.project)}
        if asset not in known:
            raise not_found("asset", asset, known)
        return known[asset]

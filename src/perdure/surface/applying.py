"""Verbs that put a project into effect: plan tells, apply does, repair starts by hand.

What a person trained or declared is released by `apply`; what the loop made is released by the loop, through
its gates; so is a prompt that suites test, whose new wording is a candidate like any (`gated`). A release by hand never
undoes one of the loop unless it is asked for by name, or another route, guard or prompt is declared.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from perdure.assets.version import CHAMPION, Pointer
from perdure.core.errors import Refused, not_found
from perdure.surface.declaring import DeclaredVersion, declared_versions, refuse_unready
from perdure.surface.gated import Gated, begin_proofs, hint_of, needs_proof, refused_routes, watched, write_unproven
from perdure.surface.gated_runs import owed_replays
from perdure.surface.governance.approvals import ask_release, find_release_question
from perdure.surface.governance.roles import People, reason_of
from perdure.surface.opened import Opened, When, instant_of
from perdure.surface.records import Change, Plan, Repairing

if TYPE_CHECKING:
    from datetime import datetime

    from perdure.assets.policy import Policy
    from perdure.assets.project import Project
    from perdure.stores.ledger.protocols import LedgerSession

MADE_BY_LOOP = "remedy"
"""Key of a version's lineage that says which remedy made it; a version trained by hand has none."""


@dataclass(slots=True)
class _Moves:
    """Releases by hand: those that may happen, and those that somebody must say yes to first."""

    free: list[Pointer] = field(default_factory=list)
    ask: list[Pointer] = field(default_factory=list)
    prove: list[Gated] = field(default_factory=list)
    """Of prompts whose suites must prove them first, or are passed over."""
    current: Mapping[str, str] = field(default_factory=dict)
    declared: Mapping[str, DeclaredVersion] = field(default_factory=dict)
    """Of assets whose versions are what is declared."""

    @property
    def as_declared(self) -> list[str]:
        """Assets whose champion is to be what is declared now."""
        proven = [each.move for each in self.prove]
        moves = {move.asset: move.version for move in (*self.free, *self.ask, *proven)}
        return [name for name, each in self.declared.items() if moves.get(name) == each.version.id]

    @property
    def new_versions(self) -> list[DeclaredVersion]:
        """Those of which the ledger does not know all yet."""
        return [each for each in self.declared.values() if each.changed or not each.registered]

    def changes(self, project: Project) -> list[Change]:
        """As `apply` tells them."""
        return [
            Change(project.kind_of(move.asset), move.asset, what, self.current.get(move.asset, ""), move.version,
                   hint_of(project, move.asset, self.current.get(move.asset)))
            for what, moves in (("released", self.free), ("asked", self.ask))
            for move in moves
        ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class _When:
    """Of what is written."""

    now: datetime
    reason: str
    unproven: str
    """Why prompts are released past their suites; empty: they are not."""


class Applying(Opened):
    """`plan`, `apply` and `repair` of a project."""

    def plan(self, *, at: When = None) -> Plan:
        """What `apply` would declare and release, what the loop would repair and why; nothing is written."""
        now = instant_of(at)
        return Plan(now, self.apply(at=now, dry_run=True), self.loop.plan(now))

    def repair(self, asset: str, *, reason: str, at: When = None, wait_s: float = 5.0) -> Repairing:
        """Begin a repair by hand: no cool-down, budget or breaker holds it back; its gates judge as ever.

        Raises:
            DeclarationError: no reason.
            NotFound: no such asset.
            NotReady: a repair of it is on its way.
            LeaseHeld: another control plane is at work.
        """
        why, now = reason_of(reason, "A repair by hand"), instant_of(at)
        with self.hold_lease(wait_s=wait_s) as held:
            planned, jobs = self.loop.repair(asset, now, held.lease, reason=why)
        return Repairing(planned, [job for job in jobs if job.subject == asset])

    def apply(
        self,
        *,
        at: When = None,
        release: Mapping[str, str] | None = None,
        dry_run: bool = False,
        reason: str = "",
        unproven: str = "",
    ) -> list[Change]:
        """Register what is declared, and release what was trained by hand since the champion last moved.

        A model without a champion, or a guard that learns, gets its newest version that was trained by hand; a route, a
        prompt or another guard the version that is declared, if that is another one than before. Candidates of the loop are
        released by the loop, or here by name. Where the policy names a role to approve, a person of that role
        releases, or the question is asked and the release made once it is approved; with four eyes it is always asked.

        A prompt that suites test is not released at once: a repair by hand asks them of the declared version and of the
        one that answers, and its gates decide (docs/prompts-in-the-loop.md).

        Args:
            at: domain time of the change.
            release: model, route, guard or prompt → version id, to point somewhere else.
            dry_run: tell what would change, and change nothing.
            reason: why; needed where a version is named.
            unproven: why prompts are released past their suites; it is audited, and an incident until they are passed.

        Raises:
            NotFound: a version that does not exist, with the nearest named.
            DeclarationError: a version is named without a reason, or what is declared could not be loaded by a server.
            Refused: the release was asked for, and a person said no.
        """
        now, chosen = instant_of(at), dict(release or {})
        self._pin(asks=not dry_run)
        for asset in chosen:
            self.project.released(asset)
        definitions = self._definitions()
        with self._ledger.read() as session:
            known = {(record.kind, record.name): record.digest for record in session.registry.list_assets()}
            moves = self._moves(session, chosen, now)
        refuse_unready(self.project, moves.as_declared)
        if chosen and not dry_run:
            reason = reason_of(reason, "A release by hand")
        changes = [_declared(kind, name, definition, known) for (kind, name), definition in definitions.items()]
        why = reason_of(unproven, "A release past the suites") if unproven else ""
        if not dry_run and not why:
            changes += self._without_refused(moves, now)
        changes += moves.changes(self.project)
        if not dry_run:
            self._write(definitions, changes, moves, _When(now, reason or why or "apply", why))
        if why or dry_run:
            told = ("unproven", why) if why else ("proving", "it is proven first")
            return changes + [each.change(*told) for each in moves.prove]
        return changes + begin_proofs(self, moves.prove, now, reason or "apply")

    def _pin(self, *, asks: bool) -> None:
        """From here on the project holds what MCP servers offer: now, or as `apply` found it last."""
        from perdure.surface.pinning import pinned_project

        if not (self.project.agents or self.project.graphs):
            return
        with self._ledger.read() as session:
            known = {(record.kind, record.name): record.definition for record in session.registry.list_assets()}
        vars(self)["project"] = pinned_project(self.project, known, os.environ if asks else None)

    def _moves(self, session: LedgerSession, chosen: Mapping[str, str], now: datetime) -> _Moves:
        project, current = self.project, {p.asset: p.version for p in session.pointers.list() if p.name == CHAMPION}
        declared = {each.version.asset: each for each in declared_versions(project, session, self.actor, now)}
        moves = _Moves(current=current, declared=declared)
        for name, asset in project.pointed.items():
            if name in chosen:
                target: str | None = _named(session, name, chosen[name])
            elif name in declared:
                target = declared[name].target(session, current.get(name))
            else:
                target = _newest_by_hand(session, name)
            if target is None or target == current.get(name):
                continue
            move = Pointer(name, CHAMPION, target)
            gated = needs_proof(project, move, current.get(name)) or owed_replays(
                self.place, project, move, current.get(name)
            )
            if gated is not None:
                moves.prove.append(gated)
                continue
            (moves.free if self._may_release(session, move, asset.policy) else moves.ask).append(move)
        return moves

    def _may_release(self, session: LedgerSession, move: Pointer, policy: Policy) -> bool:
        if policy.approve_by is None:
            return True
        asked = find_release_question(session, move)
        if asked is not None and asked.status == "rejected":
            no = next(each for each in asked.answers if not each.approves)
            raise Refused(
                f"{no.actor} said no to the release of {move.version}: {no.reason}",
                hint="Make another version, or release another one by name.",
                approval=asked.id,
            )
        if asked is not None and asked.status == "approved":
            return True
        people = People.of(self.settings, session.people.list(open_only=False))
        return not policy.four_eyes and people.has(self.actor, policy.approve_by)

    def _write(
        self, definitions: Mapping[tuple[str, str], Any], changes: Sequence[Change], moves: _Moves, when: _When
    ) -> None:
        new = {(change.kind, change.asset) for change in changes if change.what in ("declared", "changed")}
        if new or moves.free or moves.ask or moves.prove or moves.new_versions:
            with self._ledger.transaction(actor=self.actor, at=when.now, reason=when.reason) as session:
                for kind, name in sorted(new):
                    session.registry.put_asset(kind, name, definitions[kind, name])
                for version in moves.new_versions:
                    version.write(session)
                for move in moves.ask:
                    ask_release(session, move, self.project.released(move.asset).policy, self.actor, when.now)
                if moves.free:
                    asked = {move.asset: find_release_question(session, move) for move in moves.free}
                    approvals = {asset: question.id for asset, question in asked.items() if question}
                    session.pointers.set(moves.free, facts={"approvals": approvals} if approvals else None)
                for gated in moves.prove:
                    self._write_gated(session, gated, when)
        self.loop.materialise(when.now)

    def _without_refused(self, moves: _Moves, now: datetime) -> list[Change]:
        """Take out of the moves what the suites of prompts refuse: another model behind their route."""
        routes = [move for move in moves.free if move.asset in self.project.routes and move.asset in moves.current]
        if not routes or not self.project.suites:
            return []
        news = [each for each in moves.new_versions if each.version.asset in {move.asset for move in routes}]
        if news:
            with self._ledger.transaction(actor=self.actor, at=now, reason="ask the suites of prompts") as session:
                for version in news:
                    session.registry.put_version(version.version)
        refused = refused_routes(self, routes, now)
        held = [move for move in routes if move.asset in refused]
        moves.free = [move for move in moves.free if move not in held]
        return [Change("route", move.asset, "blocked", moves.current[move.asset], move.version, refused[move.asset])
                for move in held]  # fmt: skip

    def _write_gated(self, session: LedgerSession, gated: Gated, when: _When) -> None:
        from perdure.loop.work.pending import clear_pending, put_pending

        if when.unproven and gated.kind != "prompt":
            session.pointers.set([gated.move], facts={"stage": "unproven", "reason": when.unproven})
            clear_pending(session, gated.move.asset)
        elif when.unproven:
            asset = watched(self.project, gated.move.asset)
            self._readings.put([write_unproven(session, asset, gated, when.unproven, when.now)])
        else:
            put_pending(session, gated.move.asset, gated.move.version, when.now)

    def _definitions(self) -> dict[tuple[str, str], dict[str, Any]]:
        from perdure.surface.definitions import definitions

        return definitions(self.project)


def _named(session: LedgerSession, asset: str, chosen: str) -> str:
    known = [version.id for version in session.registry.list_versions(asset)]
    if chosen not in known:
        raise not_found("version", chosen, known)
    return chosen


def _newest_by_hand(session: LedgerSession, asset: str) -> str | None:
    """Of those that were trained: the newest since the champion last moved, or of all where it never did."""
    versions = session.registry.list_versions(asset)
    by_hand = [version.id for version in versions if MADE_BY_LOOP not in version.lineage]
    moves = [move.sequence for move in session.pointers.history(asset) if move.name == CHAMPION]
    if not moves:
        return by_hand[-1] if by_hand else None
    # By the chain's order, not by domain time: a version may be trained as of any instant of the past.
    return _registered_after(session, asset, moves[-1], by_hand)


def _registered_after(session: LedgerSession, asset: str, sequence: int, among: Sequence[str]) -> str | None:
    from perdure.surface.governance.entries import entries

    newest = None
    for entry in entries(session, subject=asset, after=sequence, actions=("registry.put_version",)):
        if entry.facts["version"] in among:
            newest = str(entry.facts["version"])
    return newest


def _declared(kind: str, name: str, definition: Any, known: Mapping[tuple[str, str], str]) -> Change:
    from perdure.core.canonical import content_hash

    digest, before = content_hash(definition), known.get((kind, name), "")
    what = "unchanged" if digest == before else "changed" if before else "declared"
    return Change(kind, name, what, before[:12], digest[:12])

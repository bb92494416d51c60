"""Verbs of judges: calibrate them on what people say, and show how far they can be trusted.

A version is named by its id or the beginning of it, by `champion`, or as `declared`: what the code says now.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from perdure.assets.version import CHAMPION
from perdure.core.canonical import content_hash, plain
from perdure.core.errors import NotFound, not_found
from perdure.core.ids import version_id
from perdure.surface.governance.entries import by_beginning
from perdure.surface.opened import Opened, When, instant_of

if TYPE_CHECKING:
    from perdure.assets.version import Version
    from perdure.engines.judges.protocols import Calibration

DECLARED = "declared"


@dataclass(frozen=True, slots=True)
class JudgeRow:
    """One judge, as `judge list` tells it."""

    name: str
    form: str
    route: str
    declared: str
    """The version that it is declared to be."""
    champion: str
    """The version that answers; empty before the first release."""
    verdict: str
    """`usable`, `weak` or `refused` by its newest calibration; empty: never calibrated."""
    agreement: float | None
    n_labels: int
    calibrated_at: datetime | None
    n_to_review: int
    """Open cases of its review queue."""


@dataclass(frozen=True, slots=True)
class JudgeShown:
    """One version of a judge with its newest calibration."""

    name: str
    version: str
    rubric: str
    form: str
    scale: Sequence[str]
    route: str
    model: str
    n_examples: int
    calibration: Calibration | None
    calibrated_at: datetime | None
    n_unanswered: int
    """Cases of the anchor set on which it gave no opinion."""
    models: Sequence[str]
    """Who answered when it was calibrated."""


class Judging(Opened):
    """Judges of a project."""

    def calibrate_judge(self, name: str, version: str = "", *, at: When = None) -> JudgeShown:
        """Ask a version of a judge about everything that people labelled, and keep how far it can be trusted.

        Args:
            name: of the judge.
            version: an id or its beginning, `champion` or `declared`; by default what answers, else what is declared.
            at: domain time.

        Raises:
            NotFound: no such judge or version.
            BadJudge: nobody labelled anything, or the anchor set cannot be read.
            NotReady: no route is declared.
        """
        from perdure.loop.work.judges.measuring import measure

        judge, now = self.project.judge(name), instant_of(at)
        measure(self.place, judge, self._judge_version(name, version, now), now)
        return self.show_judge(name, version)

    def show_judge(self, name: str, version: str = "") -> JudgeShown:
        """A version of a judge with its newest calibration.

        Raises:
            NotFound: no such judge or version; the message names the nearest.
        """
        from perdure.engines.judges.scales import words_of
        from perdure.loop.work.judges.state import find

        self.project.judge(name)
        found = self._judge_version(name, version, None)
        measured, told = find(self.place, name, found.id), found.definition
        judgements = [] if measured is None else list(measured.judgements.values())
        return JudgeShown(
            name=name,
            version=found.id,
            rubric=told["rubric"],
            form=told["form"],
            scale=words_of(told),
            route=told["route"],
            model=told["model"],
            n_examples=len(told.get("examples", ())),
            calibration=None if measured is None else measured.calibration,
            calibrated_at=None if measured is None else measured.measured_at,
            n_unanswered=sum(each.value is None for each in judgements),
            models=sorted({model for each in judgements for model in each.models}),
        )

    def list_judges(self) -> list[JudgeRow]:
        """Every declared judge, with what is known of the version that answers, else of the one that is declared."""
        from perdure.loop.work.judges.state import find

        rows = []
        for name, judge in self.project.judges.items():
            declared = version_id(name, content_hash(judge.definition()))
            with self._ledger.read() as session:
                pointers = {each.name: each.version for each in session.pointers.list(name)}
                n_open = len(session.reviews.list(subject=name, status="open"))
            measured = find(self.place, name, pointers.get(CHAMPION, declared))
            found = None if measured is None else measured.calibration
            rows.append(
                JudgeRow(
                    name=name,
                    form=judge.form,
                    route=judge.route,
                    declared=declared,
                    champion=pointers.get(CHAMPION, ""),
                    verdict="" if found is None else found.verdict,
                    agreement=None if found is None else found.accuracy.value,
                    n_labels=0 if found is None else found.n,
                    calibrated_at=None if measured is None else measured.measured_at,
                    n_to_review=n_open,
                )
            )
        return rows

    def _judge_version(self, name: str, version: str, now: datetime | None) -> Version:
        """The version of a name.

        What is declared, and the ledger does not know yet, is registered where an instant is given.
        """
        from perdure.assets.version import Version
        from perdure.loop.work.making import make_version

        definition = plain(self.project.judge(name).definition())
        declared = version_id(name, content_hash(definition))
        with self._ledger.read() as session:
            pointers = {each.name: each.version for each in session.pointers.list(name)}
            known = {each.id: each for each in session.registry.list_versions(name)}
        named = {**pointers, DECLARED: declared}
        wanted = named.get(version or CHAMPION) if version in ("", *named) else _begun(name, version, known)
        if wanted is None and version == CHAMPION:
            raise NotFound(f"No version of judge {name!r} answers yet.", hint="Release it: perdure apply")
        wanted = declared if wanted is None and not version else wanted
        if wanted is None:
            raise not_found("version", version, [*named, *known])
        if wanted in known:
            return known[wanted]
        if now is not None:
            return make_version(self.place, name, "judge", definition, {}, now)
        return Version(declared, name, "judge", definition, {}, {}, {}, instant_of(None), self.actor)


def _begun(name: str, version: str, known: dict[str, Version]) -> str | None:
    whole = version if "@" in version else f"{name}@{version}"
    return by_beginning("version", whole, known) if any(each.startswith(whole) for each in known) else None

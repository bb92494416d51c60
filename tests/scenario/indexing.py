"""A world in which an index lives: a real folder, real stores, the real loop on a settable clock; nothing follows its source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from perdure.assets.index_objectives import ghosts, golden_recall, lag_s, sentinel_shift, skew_ratio
from perdure.assets.policy import Policy, Ramp
from perdure.assets.project import Project
from perdure.assets.version import CHAMPION
from perdure.core.clock import machine_now
from perdure.core.settings import ProjectSettings, Settings
from perdure.core.units import days, hours, minutes, per_month
from perdure.surface.governance.telling import markdown
from perdure.surface.sdk import Perdure
from perdure.testing.indexes import DocumentsWorld

POLICY = Policy.act(ramp=Ramp(hours(0), hours(1), 0.3), watch=hours(2), cool_down=hours(1), retrains=per_month(20))
HEALTHY = (
    lag_s(quantile=0.99, over=hours(4)) <= 3 * 3600,
    ghosts(over=hours(4)) <= 0,
    skew_ratio(over=hours(4)) <= 0.001,
    sentinel_shift(over=hours(4)) <= 0.001,
)


@dataclass
class IndexWorld:
    """An index that was released and filled."""

    folder: Path
    n_documents: int = 60
    healthy: Sequence[Any] = HEALTHY
    declared: dict[str, Any] = field(default_factory=dict)
    beside: Sequence[Any] = ()
    """Assets that the project declares beside the index, such as the route of its embedder."""

    def __post_init__(self) -> None:
        self.documents = DocumentsWorld(self.folder, self.n_documents)
        # Files tell when they changed by the machine's clock, which cannot be set: the world lives up to it, and then beyond.
        self.now = machine_now() - hours(3)
        self.documents.write_all(self.now - days(30))
        self.open()
        self.perdure.apply(at=self.now)
        self.perdure.sync_index("handbook", at=self.now)
        self.first = self.champion()
        self.live(3)

    def open(self, **declared: Any) -> Perdure:
        """The project as it is declared now."""
        self.declared |= declared
        settings = Settings(project=ProjectSettings(name="indexed", actor="ana"))
        index = self.documents.index(**{"healthy": list(self.healthy), "policy": POLICY, **self.declared})
        self.perdure = Perdure(self.folder, settings, project=Project.of("indexed", index, *self.beside))
        return self.perdure

    def live(self, n_hours: float, every: timedelta = minutes(30)) -> None:
        """Rounds of the loop."""
        until = self.now + hours(n_hours)
        with self.perdure.hold_lease() as held:
            while self.now < until:
                self.now += every
                self.perdure.loop.tick(self.now, held.lease)

    def champion(self) -> str:
        """The version that answers."""
        with self.perdure.place.stores.ledger.read() as session:
            return next(each.version for each in session.pointers.list("handbook") if each.name == CHAMPION)

    def file(self, version: str = "") -> Path:
        """Of a version's store."""
        return Path(self.perdure.show_index("handbook", version or self.champion()).file)

    def incidents(self) -> list[Any]:
        """Of the index, oldest first."""
        with self.perdure.place.stores.ledger.read() as session:
            return [each for each in session.incidents.list() if each.asset == "handbook"]

    def story(self) -> str:
        """What `perdure explain` tells of the newest incident."""
        return markdown(self.perdure.explain("handbook"))

    def finds(self, text: str) -> list[str]:
        """Documents that a question finds, best first."""
        return [each.document for each in self.perdure.search_index("handbook", text, k=3)]

    def said(self, action: str) -> list[Any]:
        """Facts of audit entries of an action, oldest first."""
        with self.perdure.place.stores.ledger.read() as session:
            return [each.facts for each in session.audit.list(limit=100_000) if each.action == action]

    def answer(self, *, yes: bool) -> None:
        """What a person says to the question that is open."""
        verb = self.perdure.approve if yes else self.perdure.reject
        [question] = self.perdure.approvals()
        verb(question.id, reason="looked at it", at=self.now)


__all__ = ["HEALTHY", "IndexWorld", "golden_recall", "hours"]

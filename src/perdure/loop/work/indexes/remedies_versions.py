"""Remedies that replace the version: one that is declared, one by what the embedder is now, one in a new file, one that is still warm.

Each is built beside what answers, counted, and judged by gates before the pointer moves.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from perdure.assets.health import Cause
from perdure.assets.repair import ANY, BLAMED, Action
from perdure.core.canonical import content_hash
from perdure.engines.retrieval.embedders.sentinels import shift
from perdure.engines.retrieval.planning import make_plan
from perdure.engines.retrieval.skew import Census
from perdure.loop.protocols import Remedy, Watched, Workplace
from perdure.loop.work.indexes.causes import CHUNKER_CHANGED, EMBEDDER_CHANGED, OUTSIDE_WRITE, STORE_DAMAGED
from perdure.loop.work.indexes.measured import MEASURED
from perdure.loop.work.indexes.migrating import build
from perdure.loop.work.indexes.sentinels import MOVED, find_sentinels
from perdure.loop.work.indexes.watched import IndexesAtWork, census_of, index_of
from perdure.loop.work.making import make_version
from perdure.loop.work.pending import mark_tried, release_of
from perdure.loop.work.versions import find_champion, get_version

PAST_VERSION = "index_past_version"
EMBEDDED_A_S = 100.0
"""Texts that are embedded in a second of CPU, about: by a small model; words alone are faster."""
_LOOKED_AT = 100


def version_remedies(opens: IndexesAtWork) -> tuple[Remedy, ...]:
    """Remedies that make or take another version."""
    return (IndexDeclared(opens), IndexMigrate(opens), IndexRebuild(opens), IndexPastVersion(opens))


class IndexDeclared:
    """The version that a person declared and asked to be released: built before the pointer moves."""

    name = "index_declared"
    answers: Sequence[str] = (ANY,)

    def __init__(self, opens: IndexesAtWork) -> None:
        self._opens = opens

    def propose(self, place: Workplace, asset: Watched, causes: Sequence[Cause], now: datetime) -> Sequence[Action]:  # noqa: ARG002 - the Protocol's
        """One action while a declared version waits."""
        return release_of(place, asset.name, self.name, "build", lambda: _cost_s(census_of(place, asset, now)[1]))

    def repair(self, place: Workplace, asset: Watched, action: Action, step: str, now: datetime) -> Sequence[str]:
        """The version, filled.

        Raises: as `migrating.build`.
        """
        version = get_version(place.stores.ledger, str(action.params["version"])).id
        build(place, self._opens, asset, version, now)
        mark_tried(place, asset.name, version, step, now)
        return [version]


class IndexMigrate:
    """The same declaration, embedded and cut by what embedder and chunker are now, in a version of its own."""

    name = "index_migrate"
    answers: Sequence[str] = (EMBEDDER_CHANGED, CHUNKER_CHANGED)

    def __init__(self, opens: IndexesAtWork) -> None:
        self._opens = opens

    def propose(self, place: Workplace, asset: Watched, causes: Sequence[Cause], now: datetime) -> Sequence[Action]:
        """One action that names the embedder's behaviour; of another chunker only where most of the index is to be cut anew."""
        champion, census = census_of(place, asset, now)
        if champion is None or census is None or not census.whole:
            return []
        moved = any(cause.name == EMBEDDER_CHANGED for cause in causes)
        if moved and _warm(place, self._opens, asset):
            return []
        if not moved and not make_plan(census, most_deleted=index_of(asset).most_deleted).rebuild:
            return []
        seen = find_sentinels(place, asset.name, champion.id)
        behaviour = seen.behaviour if seen is not None else content_hash(sorted(s.document for s in census.skews))[:16]
        params = {"of": champion.id, "behaviour": behaviour}
        text = f"embed all {census.n_chunks} chunks by what the embedder is now, beside what answers"
        return [Action(self.name, text, "candidate", params, _cost_s(census))]

    def repair(self, place: Workplace, asset: Watched, action: Action, step: str, now: datetime) -> Sequence[str]:  # noqa: ARG002 - the version follows from what is asked for
        """The version, filled.

        Raises: as `migrating.build`.
        """
        before = get_version(place.stores.ledger, str(action.params["of"]))
        measured = {**before.definition.get(MEASURED, {}), "embedder": action.params["behaviour"]}
        lineage = {"remedy": self.name, "parent": before.id, "remedy_params": action.params}
        definition = {**before.definition, MEASURED: measured}
        version = make_version(place, asset.name, "index", definition, lineage, now).id
        build(place, self._opens, asset, version, now)
        return [version]


class IndexRebuild:
    """The same definition in a new file, where so much of the old one is wrong that mending it costs no less."""

    name = "index_rebuild"
    answers: Sequence[str] = (STORE_DAMAGED, OUTSIDE_WRITE, BLAMED)

    def __init__(self, opens: IndexesAtWork) -> None:
        self._opens = opens

    def propose(self, place: Workplace, asset: Watched, causes: Sequence[Cause], now: datetime) -> Sequence[Action]:  # noqa: ARG002 - the Protocol's
        """One action, where the plan says that a rebuild is the better way."""
        champion, census = census_of(place, asset, now)
        if champion is None or census is None or not census.whole:
            return []
        if not make_plan(census, most_deleted=index_of(asset).most_deleted).rebuild:
            return []
        text = f"build all {census.n_source} documents anew beside what answers"
        return [Action(self.name, text, "candidate", {"of": champion.id}, _cost_s(census))]

    def repair(self, place: Workplace, asset: Watched, action: Action, step: str, now: datetime) -> Sequence[str]:
        """The version, filled; vectors that were computed once are taken from the cache.

        Raises: as `migrating.build`.
        """
        before = get_version(place.stores.ledger, str(action.params["of"]))
        measured = {**before.definition.get(MEASURED, {}), "built": content_hash([asset.name, step])[:12]}
        lineage = {"remedy": self.name, "parent": before.id, "remedy_params": action.params}
        definition = {**before.definition, MEASURED: measured}
        version = make_version(place, asset.name, "index", definition, lineage, now).id
        build(place, self._opens, asset, version, now)
        return [version]


class IndexPastVersion:
    """A version that is still kept, and was built by what the embedder is now again."""

    name = PAST_VERSION
    answers: Sequence[str] = (EMBEDDER_CHANGED, STORE_DAMAGED, OUTSIDE_WRITE, BLAMED)

    def __init__(self, opens: IndexesAtWork) -> None:
        self._opens = opens

    def propose(self, place: Workplace, asset: Watched, causes: Sequence[Cause], now: datetime) -> Sequence[Action]:  # noqa: ARG002 - the Protocol's
        """One action a version that would find as it did when it was built."""
        return [
            Action(self.name, f"go back to {version}, which is kept", "known", {"version": version}, 1.0)
            for version in _warm(place, self._opens, asset)
        ]

    def repair(self, place: Workplace, asset: Watched, action: Action, step: str, now: datetime) -> Sequence[str]:  # noqa: ARG002 - nothing is made, so nothing is made twice
        """The version, brought up to its source.

        Raises: as `migrating.build`.
        """
        version = get_version(place.stores.ledger, str(action.params["version"])).id
        build(place, self._opens, asset, version, now)
        return [version]


def _warm(place: Workplace, opens: IndexesAtWork, asset: Watched) -> list[str]:
    """Versions beside the champion that would find as they did when they were built, and were not refused before."""
    champion = find_champion(place.stores.ledger, asset.name)
    seen = None if champion is None else find_sentinels(place, asset.name, champion.id)
    if champion is None or seen is None:
        return []
    found = []
    for version in opens.versions(asset.name):
        known = None if version == champion.id else find_sentinels(place, asset.name, version)
        if known is not None and shift(known.before, seen.now) <= MOVED and not _refused(place, asset, version):
            found.append(version)
    return found


def _refused(place: Workplace, asset: Watched, version: str) -> bool:
    """Whether going back to a version came to nothing before."""
    with place.stores.ledger.read() as session:
        jobs = session.jobs.list(subject=asset.name, limit=_LOOKED_AT)
    tried = [job for job in jobs if job.output.get("outcome") in ("rejected", "rolled_back", "failed")]
    actions = [each for job in tried for each in job.input["decision"]["actions"]]
    return any(each["remedy"] == PAST_VERSION and each["params"].get("version") == version for each in actions)


def _cost_s(census: Census | None) -> float:
    return 1.0 if census is None else 1.0 + census.n_chunks / EMBEDDED_A_S

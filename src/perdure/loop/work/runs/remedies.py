"""Every remedy of agents and graphs: find who is to blame and hand it over, ask a person about a tool, a version of before, a declared one.

What is to blame and has versions is not mended here: it is laid at its own door (`blamed`), where its own remedies and gates mend it. The
agent rests on it and waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from perdure.assets.health import Cause
from perdure.assets.repair import ANY, BLAMED, SCHEDULE, Action
from perdure.assets.version import Version
from perdure.core.canonical import content_hash
from perdure.loop.incidents import find_incident
from perdure.loop.observe import measure_again, newest_findings
from perdure.loop.protocols import Remedy, Watched, Workplace
from perdure.loop.work.candidates import best_of_known, champions, other_versions
from perdure.loop.work.pending import find_pending, mark_tried, release_of
from perdure.loop.work.runs.blaming import find_blame
from perdure.loop.work.runs.causes import (
    NODE_TO_BLAME,
    TOOL_BROKEN,
    UNEXPLAINED,
    VERSION_CHANGED,
    present_found,
)
from perdure.loop.work.runs.gathering import gather
from perdure.loop.work.runs.handed import find_found, hand_over, put_blame, put_mended
from perdure.loop.work.runs.reading import Reader
from perdure.loop.work.runs.watched import asset_behind
from perdure.loop.work.versions import find_champion, get_version

BEST = 3
"""Past versions that compete."""
MOST = 40
VERIFIED = "loop.verify"
_COST_S = 1.0
_LOOKED_AT = 50


def run_remedies(reader: Reader, assets: Sequence[Watched] = ()) -> tuple[Remedy, ...]:
    """The remedies of the kinds "agent" and "graph".

    Args:
        reader: of their runs.
        assets: everything that is watched: what is blamed is measured anew.
    """
    return (RunDeclared(), BlameNode(reader, assets), AskAboutTool(), RunPastVersion())


class RunDeclared:
    """The version that a person declared and asked to be released."""

    name = "run_declared"
    answers: Sequence[str] = (ANY,)

    def propose(self, place: Workplace, asset: Watched, causes: Sequence[Cause], now: datetime) -> Sequence[Action]:  # noqa: ARG002 - the Protocol's
        """One action while a declared version waits."""
        return release_of(place, asset.name, self.name, "release", lambda: _COST_S)

    def repair(self, place: Workplace, asset: Watched, action: Action, step: str, now: datetime) -> Sequence[str]:
        """The version.

        Raises:
            NotFound: the ledger does not know it.
        """
        version = get_version(place.stores.ledger, action.params["version"])
        mark_tried(place, asset.name, version.id, step, now)
        return [version.id]


class BlameNode:
    """Replays runs with one suspect swapped at a time, and lays what it finds at that node's door."""

    name = "blame_node"
    answers: Sequence[str] = (NODE_TO_BLAME,)

    def __init__(self, reader: Reader, assets: Sequence[Watched] = ()) -> None:
        self._reader = reader
        self._assets = {asset.name: asset for asset in assets}

    def propose(self, place: Workplace, asset: Watched, causes: Sequence[Cause], now: datetime) -> Sequence[Action]:
        """One action while nobody is blamed and there are suspects."""
        leading = next((each for each in causes if each.name == NODE_TO_BLAME), None)
        if leading is None or "suspects" not in leading.evidence or present_found(place, asset, now) is not None:
            return []
        names = [str(each["node"]) for each in leading.evidence["suspects"]]
        most = place.settings.agents.replays if place.open_replays is not None else 0
        how = f"by at most {most} replays with one of them swapped at a time" if most else "by what their journals show"
        text = f"find who is to blame {how}: {', '.join(names)}" if names else "look for who is to blame"
        return [Action(self.name, text, "state", {"objective": leading.evidence["objective"]}, float(most))]

    def repair(self, place: Workplace, asset: Watched, action: Action, step: str, now: datetime) -> Sequence[str]:  # noqa: ARG002 - what is found follows from the records
        """No version: the blame is kept, and told in the incident's story."""
        gathered = gather(place, self._reader, asset, newest_findings(place, asset, now), now)
        if gathered is None:
            return []
        found = find_blame(place, asset, gathered, now)
        facts = found.facts(place, asset, now)
        name = asset_behind(facts["node"]) if not facts["own"] else ""
        with place.transaction(now, "blame") as session:
            put_blame(session, asset.name, facts)
            if name:
                hand_over(session, name, facts)
                if name in self._assets:
                    measure_again(session, self._assets[name])
            incident = find_incident(session, asset.name)
            told = _told(facts, step, incident.id if incident else "")
            session.audit.append(VERIFIED, asset.name, told)
            if incident is not None:
                session.incidents.update(
                    incident.id, summary=f"{facts['text']} {facts['objective']} is broken.", facts=incident.facts
                )
        return []


def _told(facts: dict[str, object], step: str, incident: str) -> dict[str, object]:
    """As a verdict in the incident's story."""
    verdicts = [{"gate": "blame", "passed": bool(facts["node"]), "text": facts["text"]}]
    trial = {
        "candidate": facts["node"] or "nobody",
        "incumbent": None,
        "passed": bool(facts["node"]),
        "verdicts": verdicts,
    }
    return {
        "job": step.partition("/")[0],
        "incident": incident,
        "stage": "blame",
        "trials": [trial],
        "winner": facts["node"] or None,
        "ranked": facts["ranked"],
        "n_replays": facts["n_replays"],
    }


class AskAboutTool:
    """Asks a person to mend what has no version here; after a yes, only runs from then on count."""

    name = "ask_about_tool"
    answers: Sequence[str] = (TOOL_BROKEN, UNEXPLAINED)

    def propose(self, place: Workplace, asset: Watched, causes: Sequence[Cause], now: datetime) -> Sequence[Action]:
        """One question with the evidence; none where a person said no to this very one."""
        found = present_found(place, asset, now)
        leading = next((each for each in causes if each.name in self.answers), None)
        if found is None or leading is None:
            return []
        asked = content_hash([found["node"], found["at"]])[:12]
        if _refused(place, asset, asked):
            return []
        what = f"mend {found['node']}" if found["node"] else "look at its runs"
        text = f"{what}, and say yes when it is done: {found['text']}"
        return [Action(self.name, text, "question", {"node": found["node"], "asked": asked})]

    def repair(self, place: Workplace, asset: Watched, action: Action, step: str, now: datetime) -> Sequence[str]:  # noqa: ARG002 - a person did it
        """No version: from the person's yes on it is measured anew."""
        with place.stores.ledger.read() as session:
            asked = [
                each
                for each in session.approvals.list(asset=asset.name)
                if each.facts.get("job") == step.partition("/")[0]
            ]
        said = [answer.at for each in asked for answer in each.answers if answer.approves]
        with place.transaction(now, "mended by a person") as session:
            put_mended(session, asset.name, max([*said, now]))
            measure_again(session, asset)
        return []


def _refused(place: Workplace, asset: Watched, asked: str) -> bool:
    with place.stores.ledger.read() as session:
        jobs = session.jobs.list(subject=asset.name, limit=_LOOKED_AT)
    said = (job for job in jobs if job.output.get("outcome") == "refused")
    return any(each["params"].get("asked") == asked for job in said for each in job.input["decision"]["actions"])


class RunPastVersion:
    """Versions of it that are there already: that of the good runs first, then those that answered last."""

    name = "run_past_version"
    answers: Sequence[str] = (VERSION_CHANGED, BLAMED, SCHEDULE)

    def propose(self, place: Workplace, asset: Watched, causes: Sequence[Cause], now: datetime) -> Sequence[Action]:  # noqa: ARG002 - the Protocol's
        """One action, where there is another version and none waits that a person declared."""
        if find_pending(place, asset.name) is not None:
            return []
        return best_of_known(self.name, past_versions(place, asset), _COST_S)

    def repair(self, place: Workplace, asset: Watched, action: Action, step: str, now: datetime) -> Sequence[str]:  # noqa: ARG002 - nothing is made, so nothing is made twice
        """At most three."""
        return [version.id for version in past_versions(place, asset)[:BEST]]


def past_versions(place: Workplace, asset: Watched) -> list[Version]:
    """Versions that could answer in place of the champion: of the good runs, champions of before the last one first, the newest others."""
    if find_champion(place.stores.ledger, asset.name) is None:
        return []
    found = find_found(place, asset.name)
    good = str(found["good_version"]) if found is not None and found["own"] else ""
    answered = {version.id: at for at, version in enumerate(champions(place, asset.name))}
    known = other_versions(place, asset.name, MOST)
    return sorted(known, key=lambda each: (each.id == good, answered.get(each.id, -1), each.created_at), reverse=True)

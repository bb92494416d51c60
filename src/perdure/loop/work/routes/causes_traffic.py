"""A model changed behind its name, clients ask for something else, or the guards around a call are in trouble."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import polars as pl

from perdure.assets.health import Cause as RankedCause
from perdure.assets.health import Finding, State
from perdure.core.stats import proportion_interval
from perdure.loop.incidents import find_incident
from perdure.loop.protocols import Watched, Workplace
from perdure.loop.work.calls import read_guarded
from perdure.loop.work.routes.bodies import read_probed, reference_of, shift_of
from perdure.loop.work.routes.definitions import target_ids
from perdure.loop.work.routes.evidence import ANSWERS, ERRORS, LATENCY
from perdure.loop.work.routes.symptoms import GUARD_TROUBLE, SILENT_CHANGE, TRAFFIC_MOVED, broken_of, over_of
from perdure.loop.work.routes.traffic import read_traffic
from perdure.loop.work.versions import find_champion

_FAILS = 0.05
_MOST_OF_TIME = 0.5


class SilentChange:
    """One target answers fixed questions otherwise than it did."""

    name = SILENT_CHANGE

    def weigh(self, place: Workplace, asset: Watched, findings: Sequence[Finding], now: datetime) -> RankedCause | None:
        """0.95 where its shift broke an objective, 0.8 where refusals did and it has moved for sure; None else."""
        sick = broken_of(findings, ANSWERS)
        champion = find_champion(place.stores.ledger, asset.name)
        if not sick or champion is None or not champion.definition["probes"]:
            return None
        start = now - over_of(sick)
        probed = read_probed(place.stores.lake, champion, start - reference_of(champion), now)
        moved = {
            target: found
            for target in target_ids(champion.definition)
            if (found := shift_of(probed.get(target), champion, start, now)) is not None and found.low > 0.0
        }
        if not moved:
            return None
        target = max(moved, key=lambda each: (moved[each].low, each))
        found = moved[target]
        evidence = {
            "target": target,
            "shift": round(found.value, 4),
            "low": round(found.low, 4),
            "n_runs": found.n_runs,
            "n_reference_runs": found.n_reference_runs,
            "moved": ", ".join(list(found.by_probe)[:3]),
            "parts": found.parts,
        }
        parts = found.parts
        more = [
            f"{name.replace('_', ' ')} {parts[name]['before']:.0%} → {parts[name]['now']:.0%}"
            for name in ("refusals", "json", "usual_language")
            if abs(parts[name]["now"] - parts[name]["before"]) > 0.1
        ]
        told = f" ({'; '.join(more)})" if more else ""
        text = (
            f"{target} answers the probes otherwise than before: shift {found.value:.2f}, at least {found.low:.2f}, "
            f"over {found.n_runs} replays{told}; most in {evidence['moved']}."
        )
        by_probe = any(each.reading.signal.startswith("answer_shift") for each in sick)
        return RankedCause(self.name, 0.95 if by_probe else 0.8, evidence, text)


class TrafficMoved:
    """Clients ask for what nobody asked for before: no version is at fault, and a person is asked."""

    name = TRAFFIC_MOVED

    def weigh(self, place: Workplace, asset: Watched, findings: Sequence[Finding], now: datetime) -> RankedCause | None:  # noqa: ARG002 - the Protocol's
        """0.9 where new intents alone broke, 0.45 beside what else did; None where they are healthy."""
        sick = [each for each in findings if each.state is State.BROKEN]
        new = [each for each in sick if each.reading.signal.startswith("new_intents")]
        if not new:
            return None
        reading = new[0].reading
        clusters = reading.facts.get("clusters", [])
        words = ", ".join(clusters[0]["words"]) if clusters else ""
        evidence = {
            "ratio": reading.value,
            "n": reading.n,
            "new_languages": ", ".join(reading.facts.get("new_languages", [])),
            "largest": words,
            "n_largest": clusters[0]["n"] if clusters else 0,
            "proposed_cases": [case for each in clusters for case in each["cases"]],
        }
        about = f"; the largest group, of {evidence['n_largest']}, is about {words}" if words else ""
        text = f"{reading.value or 0.0:.0%} of {reading.n} questions are like none before{about}."
        return RankedCause(self.name, 0.9 if len(new) == len(sick) else 0.45, evidence, text)


class GuardTrouble:
    """The guards around the calls fail, or take most of the time that clients wait."""

    name = GUARD_TROUBLE

    def weigh(self, place: Workplace, asset: Watched, findings: Sequence[Finding], now: datetime) -> RankedCause | None:
        """0.89 where a guard fails in more than a twentieth of its looks, or takes more than half of the time; None else."""
        sick = broken_of(findings, ERRORS, LATENCY)
        champion = find_champion(place.stores.ledger, asset.name)
        if not sick or champion is None:
            return None
        start = now - over_of(sick)
        calls = read_traffic(place.stores.lake, asset.name, start, now, ["first_us"])
        first_us = int(calls.filter(pl.col("first_us") > 0)["first_us"].sum() or 0)
        for guard in champion.definition["guards"]:
            looks = read_guarded(place.stores.lake, guard, start, now, ["route", "arm", "action", "took_us"])
            looks = looks.filter((pl.col("route") == asset.name) & (pl.col("arm") != "shadow"))
            if looks.is_empty():
                continue
            failed = proportion_interval(int((looks["action"] == "failed").sum()), looks.height)
            part = int(looks["took_us"].sum() or 0) / first_us if first_us else 0.0
            slow = part > _MOST_OF_TIME and bool(broken_of(findings, LATENCY))
            if failed.low <= _FAILS and not slow:
                continue
            with place.stores.ledger.read() as session:
                ill = find_incident(session, guard) is not None
            evidence = {
                "guard": guard,
                "failed": round(failed.value, 4),
                "part_of_time": round(part, 4),
                "n": looks.height,
                "has_incident": ill,
            }
            what = (
                f"takes {part:.0%} of the time to the first byte"
                if slow
                else f"failed in {failed.value:.0%} of {failed.n} looks"
            )
            return RankedCause(self.name, 0.89, evidence, f"The guard {guard} {what}.")
        return None

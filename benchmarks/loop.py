"""What a round costs that finds nothing to do: the loop's own price of watching.

One round over 1,000 and 10,000 toy assets, each with a champion and an objective that is healthy: once with
every objective due (measured, judged, kept), once with none. The readings, the findings and the ledger are
checked: all are there, all are right, nothing was decided or opened. There is no peer: no open-source system runs
such rounds, so the figures stand against a bound, 1 ms of CPU an asset, and against themselves: they must
grow linearly. Run: `python benchmarks/loop.py [--quick] [--json FILE]`.
"""

from __future__ import annotations

import argparse
import json
import statistics
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from perdure.assets.health import State
from perdure.assets.version import CHAMPION, Pointer, Version
from perdure.core.canonical import content_hash
from perdure.core.clock import cpu_s, monotonic_s
from perdure.core.ids import version_id
from perdure.core.settings import Settings
from perdure.core.units import days, minutes
from perdure.durable.lease import hold
from perdure.loop.protocols import LEASE, Watched, Workplace
from perdure.loop.round import Loop, RoundReport
from perdure.surface.compose import open_ledger, open_place
from perdure.testing.toy import TOY, Gauge, level, toy_kind, watch

SIZES = (1_000, 10_000)
QUICK_SIZES = (200, 1_000)
N_ROUNDS = 5
BOUND_MS = 1.0
LINEAR = 1.5
"""An asset of the larger size may cost so many times what one of the smaller costs."""
T0 = datetime(2025, 1, 1, tzinfo=UTC)
OBJECTIVE = level(over=days(1)) <= 30.0
CADENCE = days(1) / 7
N_DAYS = 4


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU of one asset in one round, in milliseconds."""

    n: int
    due_ms: float
    idle_ms: float


def shown(number: int) -> float:
    """What a gauge shows all the time, with its champion's offset."""
    return 20.0 + number % 7 + number % 3


def gauges(n: int) -> list[Watched]:
    """Healthy gauges."""
    instants = [T0 + days(1) / 4 * quarter for quarter in range(4 * N_DAYS)]
    return [
        watch(Gauge(f"gauge_{number}", [(at, 20.0 + number % 7) for at in instants], 20.0, 1.0), OBJECTIVE)
        for number in range(n)
    ]


def release(place: Workplace, n: int) -> None:
    """A champion for each gauge."""
    with place.transaction(T0, "first champions") as session:
        pointers = []
        for number in range(n):
            definition = {"offset": float(number % 3)}
            name = f"gauge_{number}"
            version = Version(
                version_id(name, content_hash(definition)), name, TOY, definition, {}, {}, {}, T0, "bench"
            )
            session.registry.put_version(version)
            pointers.append(Pointer(name, CHAMPION, version.id))
        session.pointers.set(pointers)


def right(report: RoundReport, n: int) -> bool:
    """Every gauge was found healthy, by the value that it shows."""
    values = {finding.asset: (finding.state, finding.reading.value) for finding in report.findings}
    return values == {f"gauge_{number}": (State.HEALTHY, shown(number)) for number in range(n)}


def quiet(report: RoundReport) -> bool:
    """Nothing else was done."""
    return not (report.opened or report.closed or report.decided or report.jobs)


def measured(n: int) -> tuple[Cost, bool]:
    """The cost at a size, and whether what the rounds found is right."""
    with TemporaryDirectory() as folder:
        settings = Settings()
        place = open_place(Path(folder), settings, "bench", open_ledger(Path(folder), settings))
        release(place, n)
        loop = Loop(place, {TOY: toy_kind()}, [], gauges(n), list)
        due, idle, agree = [], [], True
        with hold(place.stores.leases, LEASE, "bench", 600.0) as held:
            loop.tick(T0 + days(1), held.lease)
            for turn in range(1, N_ROUNDS + 1):
                at = T0 + days(1) + turn * CADENCE
                for spent, later in ((due, days(0)), (idle, minutes(1))):
                    cpu, wall = cpu_s(), monotonic_s()
                    report = loop.tick(at + later, held.lease)
                    spent.append((cpu_s() - cpu) / n * 1e3)
                    print(
                        f"  {n:,} assets, {'idle' if later else 'due'}: {spent[-1]:.4f} ms CPU an asset, {monotonic_s() - wall:.2f} s wall"
                    )
                    agree = agree and quiet(report) and (not report.findings if later else right(report, n))
        agree = agree and len(place.stores.readings.list()) == n * (N_ROUNDS + 1)
        agree = agree and place.stores.ledger.verify().intact
        place.stores.ledger.close()
        place.stores.readings.close()
    return Cost(n, statistics.median(due), statistics.median(idle)), agree


def rows_of(costs: list[Cost]) -> list[dict[str, Any]]:
    """Figures against the bound, and the larger size against the smaller."""
    small, large = costs
    rows = []
    for cost in costs:
        for what, ours in (("every objective due", cost.due_ms), ("nothing due", cost.idle_ms)):
            text = (
                f"cpu an asset of a round over {cost.n:,} healthy assets, {what}, against the bound (no peer does this)"
            )
            rows.append({"what": text, "ours": ours, "peer": BOUND_MS, "unit": "ms", "ratio": BOUND_MS / ours})
    text = f"cpu an asset, every objective due, {large.n:,} assets against our own {small.n:,} (1 is linear)"
    rows.append(
        {"what": text, "ours": large.due_ms, "peer": small.due_ms, "unit": "ms", "ratio": small.due_ms / large.due_ms}
    )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--quick", action="store_true", help="fewer assets")
    arguments = parser.parse_args()
    found = [measured(n) for n in (QUICK_SIZES if arguments.quick else SIZES)]
    costs, agree = [cost for cost, _ in found], all(ok for _, ok in found)
    rows = rows_of(costs)
    for each in rows:
        print(f"{each['what']}: {each['ours']:.3g} against {each['peer']:.3g} {each['unit']}")
    kept = all(cost.due_ms <= BOUND_MS for cost in costs) and costs[1].due_ms <= LINEAR * costs[0].due_ms
    print(f"bound of {BOUND_MS:g} ms an asset, linear: {'kept' if kept else 'MISSED'}; findings are right: {agree}")
    if arguments.json:
        figures = {"bench": "loop", "agree": agree, "rows": rows}
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    if not agree:
        raise SystemExit("A round found something else than what the gauges show.")


if __name__ == "__main__":
    main()

"""Nothing changed: what it costs to find that out. Ours looks at the source, the record and every chunk; the peers at their records."""

from __future__ import annotations

import statistics
from contextlib import ExitStack
from pathlib import Path

from retrieval_parts import peers, project, shared
from retrieval_parts.report import Report

_ROUNDS = 7


def compare(folder: Path, names: list[str], report: Report, *, quick: bool) -> None:
    """A census of 5,000 files against the peers' updates, in turns."""
    n = 500 if quick else 5_000
    report.heading(f"nothing changed, {n} files, {3 * n} chunks")
    project.write_documents(folder / "docs", n)
    ours = project.opened(folder)
    built = ours.build_index(project.NAME)
    with ExitStack() as stack:
        others = peers.started(stack, folder, names)
        for other in others:
            report.agree(
                other.update()["n_embedded"] == built.n_embedded == 3 * n, f"{other.name} embeds what ours does"
            )
        spent: dict[str, list[float]] = {"ours": [], **{other.name: [] for other in others}}
        for _ in range(2 if quick else _ROUNDS):
            before = shared.process_cpu_s()
            census = ours.census_index(project.NAME)
            spent["ours"].append(shared.process_cpu_s() - before)
            report.agree(census.n_chunks == 3 * n and not census.skews, "a census of what is whole finds nothing")
            for other in others:
                told = other.update()
                spent[other.name].append(told["cpu_s"])
                report.agree(told["n_embedded"] == 0, f"{other.name} embeds nothing anew")
    mine = statistics.median(spent.pop("ours"))
    report.tell(f"ours: {1e3 * mine:.0f} ms CPU, {1e6 * mine / (3 * n):.1f} µs a chunk")
    for name, each in spent.items():
        report.row(
            f"cpu of a look at {n} unchanged files against {name}", 1e3 * mine, 1e3 * statistics.median(each), "ms"
        )

"""Versions of an asset, newest first, and one version whole: metrics, parameters, lineage, definition, the run that made it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from perdure.assets.version import CHAMPION
from perdure.core.errors import NotFound
from perdure.surface.console.asking import address, behind, whole
from perdure.surface.console.assets.known import Head, Known, asset_of, head_of, page_of, version_cell
from perdure.surface.console.assets.texts import json_lines, said
from perdure.surface.console.records import Asked, Bars, Cell, Table, View
from perdure.surface.words import instant, number

if TYPE_CHECKING:
    from perdure.assets.version import Version

_PAGE = 50
_SHOWN_METRICS = 3
_IMPORTANT = 20


@dataclass(frozen=True, slots=True)
class Versions:
    """The list."""

    head: Head
    versions: Table


@dataclass(frozen=True, slots=True)
class OneVersion:
    """One version."""

    head: Head
    id: str
    made: Cell
    by: str
    pointers: tuple[str, ...]
    compare: str
    """Address of its comparison with what answers; empty where it is that."""
    run: str
    """Address of the run that made it; empty where none is kept."""
    rollback: str
    """Address of the deed that points the champion at it; empty where it is that or never was, or the person may not."""
    question: str
    """Address of the open question whether it is released; empty without."""
    metrics: Table
    params: Table
    lineage: Table
    artifacts: Table
    slices: Table
    importance: Bars | None
    definition: tuple[str, ...]
    n_lines: int
    """Of the definition, whole."""


def view(asked: Asked) -> View:
    """`/assets/{kind}/{name}/versions?start=`."""
    known = asset_of(asked)
    start = whole(asked.query, "start", 0, most=100_000)
    with asked.project.place.stores.ledger.read() as session:
        found = session.registry.list_versions(known.name, limit=start + _PAGE + 1)[::-1][start:]
    names = _metric_names(found)
    table = Table(
        ("Version", "Made", "By", "Pointers", *names, "Made by", "Against what answers"),
        [_row(known, each, names) for each in found[:_PAGE]],
        "Versions, newest first",
        numeric=frozenset(range(4, 4 + len(names))),
        more=known.at("versions", start=start + _PAGE) if len(found) > _PAGE else "",
        empty=behind(start, f"No version yet: run perdure train {known.name}, or perdure apply."),
    )
    return page_of(known, Versions(head_of(asked, known, "versions"), table), "versions")


def _metric_names(versions: Sequence[Version]) -> list[str]:
    """The first metrics that any of them has: those on rows held out before all others."""
    names = dict.fromkeys(name for each in versions for name in each.metrics)
    return sorted(names, key=lambda name: (not name.startswith("valid_"), name))[:_SHOWN_METRICS]


def _row(known: Known, version: Version, names: Sequence[str]) -> tuple[Cell | str, ...]:
    pointers = ", ".join(_pointers(known, version.id))
    compare: Cell | str = "–"
    if known.champion and known.champion != version.id:
        compare = Cell("Compare", href=known.at("compare", before=known.champion, after=version.id))
    return (
        version_cell(known, version.id),
        Cell(f"{instant(version.created_at)} UTC", at=version.created_at),
        version.actor,
        Cell(pointers, tone="good" if "champion" in pointers else "info") if pointers else "–",
        *(number(version.metrics.get(name)) for name in names),
        str(version.lineage.get("remedy") or "hand").replace("_", " "),
        compare,
    )


def _pointers(known: Known, version: str) -> list[str]:
    return [
        f"{each.name} {each.share:.0%}" if each.share < 1 else each.name
        for each in known.pointers
        if each.version == version
    ]


def _was_champion(asked: Asked, known: Known, version: str) -> bool:
    """It answered everything once, and something else does now: a way back may lead to it."""
    if known.champion in ("", version):
        return False
    with asked.project.place.stores.ledger.read() as session:
        return any(each.name == CHAMPION and each.version == version for each in session.pointers.history(known.name))


def _question(asked: Asked, version: str) -> str:
    found = next((each.id for each in asked.board.questions if each.facts.get("version") == version), "")
    return address("/approvals", found) if found else ""


def view_one(asked: Asked) -> View:
    """`/assets/{kind}/{name}/versions/{id}`.

    Raises:
        NotFound: this asset has no such version.
    """
    known = asset_of(asked)
    version = version_of(asked, known, asked.path["id"])
    run_id, facts = run_of(asked, version.id)
    lines = json_lines(version.definition)
    may = asked.person.may("brake") and known.declared is not None and _was_champion(asked, known, version.id)
    data = OneVersion(
        head=head_of(asked, known, "versions"),
        id=version.id,
        made=Cell(f"{instant(version.created_at)} UTC", at=version.created_at),
        by=version.actor,
        pointers=tuple(_pointers(known, version.id)),
        compare=known.at("compare", before=known.champion, after=version.id)
        if known.champion not in ("", version.id)
        else "",
        run=address("/training", run_id) if run_id else "",
        rollback=known.at("rollback") if may else "",
        question=_question(asked, version.id),
        metrics=_pairs(
            "Metric",
            {name: number(value) for name, value in version.metrics.items()},
            "Metrics when it was made",
            "It was measured by nobody yet.",
        ),
        params=_pairs(
            "Parameter",
            version.lineage.get("params") or {},
            "Parameters that it was fitted with",
            "It has no parameters.",
        ),
        lineage=_pairs(
            "Part",
            {k: v for k, v in version.lineage.items() if k != "params"},
            "Where it is from",
            "Nothing is kept of where it is from.",
        ),
        artifacts=_pairs(
            "Artifact", version.artifacts, "Artifacts, by the SHA-256 of their bytes", "It has no artifacts."
        ),
        slices=slices_table(facts.get("slices") or {}),
        importance=_importance(facts.get("importance") or {}),
        definition=tuple(lines[:400]),
        n_lines=len(lines),
    )
    return page_of(known, data, version.id)


def version_of(asked: Asked, known: Known, version_id: str) -> Version:
    """A version of this asset.

    Raises:
        NotFound: there is none of that id, or it is another asset's.
    """
    with asked.project.place.stores.ledger.read() as session:
        version = session.registry.get_version(version_id)
    if version.asset != known.name:
        raise NotFound(
            f"{version_id!r} is a version of {version.asset}, not of {known.name}.",
            hint=f"Look among the versions of {known.name}.",
        )
    return version


def run_of(asked: Asked, version_id: str) -> tuple[str, Mapping[str, Any]]:
    """The run that made a version, and its facts; empty where none is kept."""
    runs = asked.board.runs
    if "version" not in runs.columns:
        return "", {}
    ids = runs.filter((pl.col("version") == version_id) & (pl.col("status") == "done"))["id"]
    if ids.is_empty():
        return "", {}
    with asked.project.place.stores.ledger.read() as session:
        return str(ids[0]), session.runs.get(str(ids[0])).facts


def _pairs(heading: str, values: Mapping[str, Any], caption: str, empty: str) -> Table:
    rows = [(name, said(value)) for name, value in values.items()]
    return Table((heading, "Value"), rows[:200], caption, empty=empty)


def slices_table(slices: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Table:
    """Metrics on the rows held out, by slice."""
    found = [(f"{column}={value}", metrics) for column, parts in slices.items() for value, metrics in parts.items()]
    names = list(dict.fromkeys(name for _, metrics in found for name in metrics))
    return Table(
        ("Slice", *names),
        [(name, *(number(metrics.get(each)) for each in names)) for name, metrics in found[:200]],
        "Metrics by slice, on the rows held out",
        numeric=frozenset(range(1, len(names) + 1)),
        empty="It was not measured by slice: declare `slices = (...)` on the model.",
    )


def _importance(importance: Mapping[str, float]) -> Bars | None:
    if not importance:
        return None
    ranked = sorted(importance.items(), key=lambda each: -each[1])[:_IMPORTANT]
    return Bars(
        "importance",
        "What it goes by: share of the mean absolute contribution",
        "%",
        [(name, 100 * share, None) for name, share in ranked],
    )

"""Two versions side by side: what their definition, lineage and parameters differ in, their metrics, and whether the code changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from perdure.core.errors import BadRequest
from perdure.surface.console.asking import text
from perdure.surface.console.assets.known import Head, Known, asset_of, head_of, page_of, version_cell
from perdure.surface.console.assets.texts import json_lines, said, unified
from perdure.surface.console.assets.versions import version_of
from perdure.surface.console.coding import code_change
from perdure.surface.console.records import Asked, Bars, Cell, Table, View
from perdure.surface.words import instant, number

if TYPE_CHECKING:
    from perdure.assets.version import Version

_LINES = 1000


@dataclass(frozen=True, slots=True)
class Diff:
    """One difference as lines of a unified diff; none where both are the same."""

    title: str
    lines: tuple[str, ...]
    more: int
    """Lines left out."""
    same: str
    """What is said where there are no lines."""


@dataclass(frozen=True, slots=True)
class Compared:
    """The page."""

    head: Head
    before: Cell
    after: Cell
    made: tuple[Cell, Cell]
    choices: Table
    """Others to compare with."""
    metrics: Table
    picture: Bars | None
    params: Table
    code: Diff
    definition: Diff
    lineage: Diff
    swapped: str
    """Address of the same the other way round."""


def view(asked: Asked) -> View:
    """`/assets/{kind}/{name}/compare?before=&after=`; without `before`, what answers.

    Raises:
        BadRequest: nothing to compare with.
        NotFound: no such version of this asset.
    """
    known = asset_of(asked)
    before, after = text(asked.query, "before") or known.champion, text(asked.query, "after")
    if not before or not after:
        raise BadRequest(
            "Two versions are compared: ?before=VERSION&after=VERSION.",
            hint=f"Choose one on the page of the versions of {known.name}.",
        )
    old, new = version_of(asked, known, before), version_of(asked, known, after)
    names = (old.id, new.id)
    data = Compared(
        head=head_of(asked, known, "versions"),
        before=version_cell(known, old.id),
        after=version_cell(known, new.id),
        made=(_made(old), _made(new)),
        choices=_choices(asked, known, old, new),
        metrics=_metrics(old, new),
        picture=_picture(old, new),
        params=_params(old, new),
        code=_code(asked, old, new),
        definition=_diff(
            "Definition",
            json_lines(old.definition),
            json_lines(new.definition),
            names,
            "Their definitions are the same.",
        ),
        lineage=_diff(
            "Lineage",
            json_lines(old.lineage),
            json_lines(new.lineage),
            names,
            "They are of the same data, code, parameters and seed.",
        ),
        swapped=known.at("compare", before=new.id, after=old.id),
    )
    return page_of(
        known,
        data,
        "two versions",
    )


def _made(version: Version) -> Cell:
    return Cell(f"{instant(version.created_at)} UTC", at=version.created_at)


def _diff(title: str, before: list[str], after: list[str], names: tuple[str, str], same: str) -> Diff:
    lines = unified(before, after, names)
    return Diff(title, lines[:_LINES], max(len(lines) - _LINES, 0), same)


def _code(asked: Asked, old: Version, new: Version) -> Diff:
    change = code_change(asked, old, new)
    return Diff("Code", change.lines[:_LINES], max(len(change.lines) - _LINES, 0), change.said)


def _metrics(old: Version, new: Version) -> Table:
    rows = []
    for name in dict.fromkeys([*old.metrics, *new.metrics]):
        was, now = old.metrics.get(name), new.metrics.get(name)
        change = "–" if was is None or now is None else f"{'+' if now >= was else '−'}{number(abs(now - was))}"
        share = f"{(now - was) / abs(was):+.1%}" if was and now is not None else "–"
        rows.append((name, number(was), number(now), change, share))
    return Table(
        ("Metric", "Before", "After", "Change", "Of before"),
        rows[:200],
        "Metrics when they were made, each on its own newest rows",
        numeric=frozenset({1, 2, 3, 4}),
        empty="Neither was measured when it was made.",
    )


def _picture(old: Version, new: Version) -> Bars | None:
    names = [name for name in new.metrics if name in old.metrics and name.startswith("valid_")]
    rows = [(name, new.metrics[name], old.metrics[name]) for name in names]
    return Bars("metric-bars", "After, with a line where it was before", "", rows) if rows else None


def _params(old: Version, new: Version) -> Table:
    was, now = old.lineage.get("params") or {}, new.lineage.get("params") or {}
    rows = [
        (
            name,
            said(was.get(name)),
            said(now.get(name)),
            Cell("yes", tone="info") if was.get(name) != now.get(name) else "no",
        )
        for name in dict.fromkeys([*was, *now])
    ]
    return Table(
        ("Parameter", "Before", "After", "Changed"), rows[:200], "Parameters of both", empty="Neither has parameters."
    )


def _choices(asked: Asked, known: Known, old: Version, new: Version) -> Table:
    with asked.project.place.stores.ledger.read() as session:
        newest = session.registry.list_versions(known.name, limit=10)[::-1]
    rows = [
        (
            version_cell(known, each.id),
            _made(each),
            Cell("as before", href=known.at("compare", before=each.id, after=new.id)) if each.id != new.id else "–",
            Cell("as after", href=known.at("compare", before=old.id, after=each.id)) if each.id != old.id else "–",
        )
        for each in newest
    ]
    return Table(
        ("Version", "Made", "Compare", "Or"),
        rows,
        "The newest versions",
        more=known.at("versions"),
        empty="No version yet.",
    )

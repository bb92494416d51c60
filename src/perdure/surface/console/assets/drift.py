"""What moved: the features that a version was asked with, over a window, against what it was trained on. Small multiples, the worst first.

Made when asked: a week of the example's 6,070 rows takes 15 ms. Windows of more rows than `_ROWS` are sampled.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from perdure.core.clock import from_us, iso
from perdure.core.errors import BadRequest
from perdure.surface.console.asking import instant, one_of, text, whole_minute
from perdure.surface.console.assets.histograms import histogram
from perdure.surface.console.assets.known import Head, Known, head_of, model_of, page_of, version_cell
from perdure.surface.console.assets.readings import newest_of, told_of
from perdure.surface.console.assets.series import Span, happened, marks_of, picture_of
from perdure.surface.console.assets.versions import version_of
from perdure.surface.console.records import Asked, Cell, Picture, Steps, Table, Tone, View
from perdure.surface.words import number

if TYPE_CHECKING:
    import polars as pl

    from perdure.core.stats.columns import Profile
    from perdure.engines.drift import FeatureDrift

_USUAL = timedelta(days=7)
_ROWS = 50_000
_SHOWN = 60
_MEASURES = ("psi", "js")
_LOOK, _ACT = 0.1, 0.25
"""Usual reading of PSI: look, act."""
_MISSING = 0.005
"""So much more or fewer missing values are told beside the drawing; the table tells all."""


@dataclass(frozen=True, slots=True)
class Asking:
    """What the page was asked for; a form gives it again."""

    action: str
    start: str
    end: str
    version: str
    versions: tuple[str, ...]
    """Those that served in the window, the one with most rows first."""
    measure: str
    measures: tuple[str, ...]
    before: str
    """Address of the window before this one."""


@dataclass(frozen=True, slots=True)
class Drift:
    """The page."""

    head: Head
    asking: Asking
    version: Cell | None
    n_rows: int
    n_reference: int
    sampled: bool
    why_none: str
    """Why nothing can be compared, and what to do; empty where something is."""
    features: tuple[Steps, ...]
    table: Table
    picture: Picture | None
    """The signal `drift` over time."""


def view(asked: Asked) -> View:
    """`/assets/model/{name}/drift?version=&from=&to=&measure=`."""
    known = model_of(asked)
    measure = one_of(asked.query, "measure", _MEASURES, "psi")
    window = _window(asked, known)
    rows, counts = _served(asked, known, window)
    chosen = text(asked.query, "version") or (counts[0][0] if counts else known.champion)
    ranked, small, why_none, n_reference = _compared(asked, known, rows, chosen, measure)
    data = Drift(
        head=head_of(asked, known, "drift"),
        asking=_asking(known, window, chosen, counts, measure),
        version=version_cell(known, chosen) if chosen else None,
        n_rows=dict(counts).get(chosen, 0),
        n_reference=n_reference,
        sampled=dict(counts).get(chosen, 0) > _ROWS,
        why_none=why_none,
        features=small,
        table=_table(ranked),
        picture=_over_time(asked, known, measure),
    )
    return page_of(known, data, "drift")


def _window(asked: Asked, known: Known) -> Span:
    """The week that ends at the newest reading of drift, unless another is asked for."""
    measured = [from_us(each.at_us) for each in newest_of(asked, known) if each.signal.startswith("drift")]
    end = instant(asked.query, "to", whole_minute(max(measured, default=asked.board.at)))
    start = instant(asked.query, "from", end - _USUAL)
    if start >= end:
        raise BadRequest("The window ends before it begins.", hint="Give `from` before `to`.")
    return Span(start, end)


def _served(asked: Asked, known: Known, window: Span) -> tuple[pl.DataFrame, list[tuple[str, int]]]:
    """Captured vectors of the window, and how many each version answered, most first."""
    from perdure.loop.work.outcomes import read_captures

    rows = read_captures(asked.project.place.stores.lake, known.name, window.start, window.end, ["version", "features"])
    return rows, [] if rows.is_empty() else Counter(rows["version"].to_list()).most_common()


def _compared(
    asked: Asked, known: Known, rows: pl.DataFrame, chosen: str, measure: str
) -> tuple[list[FeatureDrift], tuple[Steps, ...], str, int]:
    import polars as pl

    from perdure.engines.drift import drift_by_feature
    from perdure.engines.profile import build_profile
    from perdure.loop.work.outcomes import feature_matrix
    from perdure.loop.work.versions import plan_of, profile_of

    if not chosen:
        return [], (), f"No version of {known.name} answers yet: run perdure train {known.name}, then perdure apply.", 0
    version = version_of(asked, known, chosen)
    if "profile" not in version.artifacts:
        return (
            [],
            (),
            "This version was made without a profile of its training rows: there is nothing to compare with.",
            0,
        )
    reference = profile_of(asked.project.place.stores.blobs, version)
    served = rows if rows.is_empty() else rows.filter(pl.col("version") == chosen)
    if served.is_empty():
        return [], (), "It answered nothing in this window: choose a longer or an earlier one.", reference.n_rows
    drawn = served if served.height <= _ROWS else served.sample(_ROWS, seed=0)
    names = [feature.name for feature in plan_of(version).features]
    current = build_profile(feature_matrix(drawn["features"]), names, reference=reference)
    ranked = drift_by_feature(reference, current, measure="js" if measure == "js" else "psi")
    return ranked, _multiples(ranked, reference, current), "", reference.n_rows


def _multiples(ranked: list[FeatureDrift], reference: Profile, current: Profile) -> tuple[Steps, ...]:
    made = []
    for at, each in enumerate(ranked[:_SHOWN]):
        was, now, edges, labels = histogram(reference.columns[each.feature], current.columns[each.feature])
        made.append(
            Steps(
                id=f"feature-{at}",
                title=each.feature,
                unit="",
                reference=was,
                current=now,
                edges=edges,
                labels=labels,
                note=_note(each),
                tone=_tone(each),
                sides=("training", "now"),
            )
        )
    return tuple(made)


def _note(each: FeatureDrift) -> str:
    missing = ""
    if abs(each.null_ratio_current - each.null_ratio_reference) >= _MISSING:
        missing = f", missing {each.null_ratio_reference:.1%} → {each.null_ratio_current:.1%}"
    return f"PSI {each.psi:.3f}, JS {each.js:.3f}{missing}"


def _tone(each: FeatureDrift) -> Tone:
    """For sure past the bound that says act, or look; small windows move by chance."""
    return "bad" if each.psi_low > _ACT else "warn" if each.psi_low > _LOOK else "mute"


def _table(ranked: list[FeatureDrift]) -> Table:
    return Table(
        (
            "Feature",
            "PSI",
            "PSI from",
            "PSI to",
            "JS distance",
            "KS",
            "Mean move, sd",
            "Missing before",
            "Missing now",
            "Never seen",
        ),
        [
            (
                each.feature,
                Cell(number(each.psi), value=each.psi, unit="psi"),
                number(each.psi_low),
                number(each.psi_high),
                number(each.js),
                number(each.ks),
                number(each.w1_sd),
                f"{each.null_ratio_reference:.2%}",
                f"{each.null_ratio_current:.2%}",
                "–" if each.off_grid_ratio is None else f"{each.off_grid_ratio:.2%}",
            )
            for each in ranked[:200]
        ],
        "Every feature, the one that moved most first",
        numeric=frozenset(range(1, 10)),
        empty="Nothing was compared.",
    )


def _asking(known: Known, window: Span, chosen: str, counts: list[tuple[str, int]], measure: str) -> Asking:
    earlier = {"from": iso(window.start - window.length), "to": iso(window.start)}
    return Asking(
        action=known.at("drift"),
        start=iso(window.start),
        end=iso(window.end),
        version=chosen,
        versions=tuple(dict.fromkeys([*(version for version, _ in counts), *([chosen] if chosen else [])])),
        measure=measure,
        measures=_MEASURES,
        before=known.at("drift", measure=measure, **earlier),
    )


def _over_time(asked: Asked, known: Known, measure: str) -> Picture | None:
    told = told_of(asked, known, "drift" if measure == "psi" else "drift_js")
    if told is None:
        return None
    window = Span(asked.board.at - timedelta(days=90), asked.board.at)
    return picture_of(asked, known, told, window, marks=marks_of(happened(asked, known), known, window))

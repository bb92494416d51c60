"""`/language/judges/{name}`: how far a judge agrees with people, and so what it may decide."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from perdure.surface.console.asking import address, text
from perdure.surface.console.language.cells import OVERVIEW, count, interval, page_of
from perdure.surface.console.language.standing import Standing, standing
from perdure.surface.console.records import Asked, Table, Tone, View

if TYPE_CHECKING:
    from perdure.core.stats.intervals import Interval
    from perdure.engines.judges.protocols import Calibration

_TONES: dict[str, Tone] = {"usable": "good", "weak": "warn", "refused": "bad"}
_MAY = {
    "usable": "Its word counts in gates, alone.",
    "weak": "Its word counts, corrected by people's labels; more labels make it surer.",
    "refused": "Its word decides nothing: gates that rest on it do not pass.",
    "": "It decides nothing before it is calibrated on what people labelled.",
}


@dataclass(frozen=True, slots=True)
class JudgePage:
    """The whole page."""

    standing: Standing
    version: str
    rubric: str
    form: str
    scale: tuple[str, ...]
    route: str
    route_page: str
    model: str
    n_examples: int
    verdict: str
    tone: Tone
    may: str
    text: str
    n_labels: int
    n_more: int | None
    """Labels that would make it usable; None: no number would."""
    calibrated_at: datetime | None
    figures: Table
    n_unanswered: int
    models: tuple[str, ...]
    n_to_label: int
    reviews: str
    may_label: bool


def view(asked: Asked) -> View:
    """The page.

    Raises:
        NotFound: no such judge or version.
    """
    name, wanted = asked.path["name"], text(asked.query, "version", most=200)
    shown = asked.project.show_judge(name, wanted)
    with asked.project.place.stores.ledger.read() as session:
        n_open = len(session.reviews.list(subject=name, status="open"))
    found = shown.calibration
    verdict = "" if found is None else found.verdict
    data = JudgePage(
        standing=standing(asked, "judge", name),
        version=shown.version,
        rubric=shown.rubric,
        form=shown.form,
        scale=tuple(shown.scale),
        route=shown.route,
        route_page=page_of("route", shown.route),
        model=shown.model,
        n_examples=shown.n_examples,
        verdict=verdict or "never calibrated",
        tone=_TONES.get(verdict, "mute"),
        may=_MAY[verdict],
        text="" if found is None else found.text,
        n_labels=0 if found is None else found.n,
        n_more=0 if found is None else found.n_more,
        calibrated_at=shown.calibrated_at,
        figures=_figures(name, found),
        n_unanswered=shown.n_unanswered,
        models=tuple(shown.models),
        n_to_label=n_open,
        reviews=address("/language/reviews", subject=name),
        may_label=asked.person.may("bodies"),
    )
    return View(name, data, (OVERVIEW,), f"perdure judge show {name}", ("health",))


def _figures(name: str, found: Calibration | None) -> Table:
    rows: list[tuple[str, str, str, str]] = []
    if found is not None:
        told: tuple[tuple[str, Interval | None, str], ...] = (
            ("agreement", found.accuracy, "share of cases on which it says what people say"),
            ("kappa", found.kappa, "agreement beyond chance: 0 is chance, 100 % is always"),
            ("sensitivity", found.sensitivity, "of good answers those that it calls good"),
            ("specificity", found.specificity, "of bad answers those that it calls bad"),
            ("informedness", found.informedness, "sensitivity and specificity beyond chance: 0 says nothing"),
            ("AUC", found.auc, "how well it ranks good above bad: 50 % is a coin"),
            ("consistency", found.consistency, "share of repeats that say the same"),
            ("position bias", found.position_bias, "how much oftener the first place wins"),
            ("length bias", found.length_bias, "how much oftener it prefers the longer answer than people do"),
            ("obeyed", found.obeyed, "share of planted instructions that it followed"),
        )
        rows = [(what, interval(each), count(each.n), why) for what, each, why in told if each is not None]
    return Table(
        headings=("Figure", "Value, 95%", "n", "What it is"),
        rows=rows,
        caption=f"How far {name} can be trusted",
        numeric=frozenset({1, 2}),
        empty=f"It was never calibrated: label some cases, then perdure judge calibrate {name}",
    )

"""A judge's figure over many cases, corrected by what people said of some of them; the raw one stands beside it always.

Called by whoever reports a judge's scores. Which correction fits is decided here: by labels of the very traffic where there are
enough of them (PPI++), else by the anchor set's (Rogan and Gladen's estimate, where the anchor judges otherwise than the
traffic), and not at all where the calibration refused the judge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from perdure.core.stats.agreement import FEWEST_LABELS
from perdure.core.stats.corrected import Corrected, correct, correct_drawn
from perdure.core.stats.elsewhere import kept_errors, shift_p
from perdure.core.stats.intervals import Interval
from perdure.core.stats.shares import clustered_share
from perdure.engines.judges.anchors import Labelled
from perdure.engines.judges.calibration import Paired, paired
from perdure.engines.judges.deciding import Judgement
from perdure.engines.judges.protocols import Calibration
from perdure.engines.judges.scales import side_of

SHIFTED = 0.05
"""A p-value below it: the anchor is judged otherwise than the traffic."""
_FRESH = 20
"""Fresh labels from which it can be seen that a judge errs otherwise than on its anchor."""


def corrected_share(
    judged: Mapping[str, float | None],
    fresh: Sequence[Labelled],
    anchored: tuple[Sequence[Labelled], Mapping[str, Judgement]],
    calibration: Calibration | None,
) -> Corrected:
    """The share of good answers among judged cases.

    Args:
        judged: what the judge says of each case of the figure, by id; None: no opinion, counted as a coin.
        fresh: those of them that people labelled, drawn by chance; cases that are not among the judged ones are left out.
        anchored: the anchor set, and what the judge said of it when it was calibrated.
        calibration: of that version; None: it has none, and then no figure of it is used.

    Raises:
        DeclarationError: nothing was judged.
    """
    values = {case: 0.5 if value is None else side_of(value) for case, value in judged.items()}
    own = _fresh(fresh, values)
    everything = np.array(list(values.values()))
    labelled = {each.case.id for each in own.cases}
    others = np.array([value for case, value in values.items() if case not in labelled])
    if calibration is None or calibration.verdict == "refused":
        why = "This judge was never calibrated: its figures are not used." if calibration is None else calibration.text
        raw = clustered_share(everything)
        return Corrected(raw, None, "refused", why, len(own.cases), len(others))
    anchor = paired(*anchored)
    # Where the judge errs otherwise than on its anchor, only labels of this very traffic can tell.
    otherwise = len(own.cases) >= _FRESH and _errs_otherwise(anchor, own)
    if otherwise or (len(own.cases) >= FEWEST_LABELS and _both(own.labels)):
        return _by_own(own, values, others)
    shifted = shift_p(anchor.judged, everything, anchor.weights) < SHIFTED
    if anchor.weights is None:
        return correct(anchor.labels, anchor.judged, everything, clusters=anchor.grouped, shifted=shifted)
    return correct_drawn(
        anchor.labels, anchor.judged, everything, anchor.weights, clusters=anchor.grouped, shifted=shifted
    )


def _errs_otherwise(anchor: Paired, own: Paired) -> bool:
    p = kept_errors(
        anchor.labels, anchor.judged, own.labels, own.judged, weights=anchor.weights, fresh_weights=own.weights
    )
    return p < SHIFTED


def _by_own(own: Paired, values: Mapping[str, float], others: NDArray[np.float64]) -> Corrected:
    """By labels of the very cases; what was drawn by unequal chance is not like the rest, so the figure is of all."""
    if own.weights is None:
        return correct(own.labels, own.judged, others)
    places = {case: place for place, case in enumerate(values)}
    same = np.array([*(places[each.case.id] for each in own.cases), *range(len(values))], dtype=np.int64)
    return correct_drawn(own.labels, own.judged, np.array(list(values.values())), own.weights, clusters=same)


def told(figure: Corrected) -> dict[str, float | int | str | None]:
    """A corrected figure as facts of a reading: raw and corrected, never one alone."""
    facts: dict[str, float | int | str | None] = {
        "method": figure.method,
        "text": figure.text,
        "n_labels": figure.n_labels,
        "n_judged": figure.n_judged,
    }
    for name, found in (("raw", figure.raw), ("corrected", figure.corrected)):
        facts |= _bounds(name, found)
    return facts


def _bounds(name: str, found: Interval | None) -> dict[str, float | None]:
    if found is None:
        return {name: None, f"{name}_low": None, f"{name}_high": None}
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}


def _fresh(fresh: Sequence[Labelled], values: Mapping[str, float]) -> Paired:
    given = {case: Judgement(case, "given", value) for case, value in values.items()}
    return paired(fresh, given)


def _both(labels: NDArray[np.float64]) -> bool:
    return bool(len(labels)) and 0.0 < float(labels.mean()) < 1.0

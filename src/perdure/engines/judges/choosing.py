"""Which judged cases are worth a person's label: drawn with a known probability, more often where the judge errs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from perdure.core.canonical import content_hash
from perdure.core.stats.choosing import inclusion, uncertainty
from perdure.engines.judges.anchors import Labelled
from perdure.engines.judges.calibration import paired
from perdure.engines.judges.deciding import Judgement
from perdure.engines.judges.scales import side_of


def bin_of(judgement: Judgement) -> int:
    """What is seen of a judgement without a label: its side, whether the order decided, whether repeats agree.

    >>> bin_of(Judgement("c", "given", 1.0)), bin_of(Judgement("c", "given", 0.5, as_is=1.0, swapped=0.0))
    (8, 6)
    """
    side = 0.5 if judgement.value is None else side_of(judgement.value)
    torn = bool(judgement.flipped) or judgement.value is None
    wavers = len(set(judgement.repeats)) > 1
    return int(4 * (2 * side)) + 2 * torn + wavers


def chances(
    judged: Sequence[Judgement],
    n_labels: float,
    anchored: tuple[Sequence[Labelled], Mapping[str, Judgement]],
) -> NDArray[np.float64]:
    """The probability of each judged case to be labelled, about `n_labels` in all.

    Args:
        judged: of all cases that may be asked about.
        n_labels: expected number.
        anchored: cases with labels and judgements, from which is learned where the judge errs; without any all are alike.

    Raises:
        DeclarationError: no case, or no label is wanted.
    """
    both = paired(*anchored)
    bins = np.array([bin_of(anchored[1][each.case.id]) for each in both.cases], dtype=np.int64)
    bins_of_all = np.array([bin_of(each) for each in judged], dtype=np.int64)
    return np.asarray(inclusion(uncertainty(both.labels, both.judged, bins, bins_of_all), n_labels), dtype=np.float64)


def is_drawn(case: str, chance: float, seed: str) -> bool:
    """Whether a case is drawn with this chance: the same at every call, whichever other cases there are."""
    return int(content_hash([seed, case])[:13], 16) / 16**13 < chance

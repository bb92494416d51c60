"""Trains a learned check: labelled texts become weights, a calibrated score, a threshold and what it knows of families.

Logistic regression on hashed n-grams, in seconds on one core. The threshold comes from harmless texts that were scored by
models which had seen neither them nor their near-duplicates: on texts that were learned from, false blocks look rare.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from perdure.core.errors import DeclarationError, TooFewRows
from perdure.engines.guards.learned import LearnedScorer, Parts, Settings, from_artifact, to_artifact
from perdure.engines.guards.learned_duplicates import groups, keys
from perdure.engines.guards.learned_text import N_BITS, Features, features, sketch, views
from perdure.engines.guards.learned_threshold import Threshold, choose_threshold, least_of_use
from perdure.engines.guards.learned_windows import SIZES, evidence, part, windows

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

N_LEAST = 10
"""Texts of each label that are needed at least."""
_STRENGTH = 3.0
"""Inverse of the penalty on squared weights: of 3, 30 and 100 the one that ranks unseen families best, if by little."""
_FREE = 10.0
"""The intercept is penalised a hundred times less than a weight."""
_MANY = 10_000
"""Texts from which on three folds do."""
_MOST_WINDOWS = 6
"""Windows of one long text that are learned from."""
_MOST_KEPT = 4_000
"""Scores of harmless texts that an artifact keeps."""
_FLOOR = 0.1
"""Share of a family's own texts that may be unlike it."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Report:
    """How training went."""

    n_harmful: int
    n_harmless: int
    n_groups: int
    """Texts that are not nearly the same as another."""
    threshold: Threshold
    recall: float
    """Share of harmful texts at or above the threshold, each scored by a model that had not seen it."""
    auc: float
    """Likewise: probability that a harmful text scores above a harmless one."""
    families: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """What training made."""

    artifact: bytes
    report: Report


@dataclass(frozen=True, slots=True, eq=False)
class _Pieces:
    """Parts of texts, windows and views, as rows of a matrix, each text's together."""

    x: csr_matrix
    """A column a bucket that is there: solving over all of them costs ten times as much for a few hundred texts."""
    buckets: NDArray[np.intp]
    """Of each column."""
    rows: NDArray[np.intp]
    """Place of the text of each piece."""
    shares: Floats
    """How much of its text each counts for."""


@dataclass(frozen=True, slots=True, eq=False)
class _Texts:
    """Labelled texts, read once."""

    found: list[list[Features]]
    """Of each text, the n-grams of its views."""
    harmful: NDArray[np.bool_]
    weights: Floats
    groups: NDArray[np.intp]
    rarity: NDArray[np.float32]
    pieces: _Pieces


@dataclass(frozen=True, slots=True, eq=False)
class _Fit:
    unfolded: Floats
    """The regression's own."""
    weights: NDArray[np.float32]
    """With the rarity folded in, so that nothing of it is left to be done when a text is scored."""
    intercept: float

    def evidence_of(self, found: Sequence[Features]) -> float:
        sums = [evidence(view, self.weights, windows(view.n_chars)).max() for view in found]
        return float(max(sums)) + self.intercept


def train_learned(
    texts: Sequence[str],
    labels: Sequence[bool],
    families: Sequence[str],
    *,
    max_false_block: float,
    seed: int,
    weights: Sequence[float] | None = None,
) -> Learned:
    """Train on labelled texts.

    Args:
        texts: as they came; at least 10 of each label.
        labels: True: to be caught.
        families: of each text; empty where it is not known.
        max_false_block: share of harmless texts that may be caught, above 0 and below 1.
        seed: of the folds.
        weights: how much each text counts, such as less for older ones; None: all alike.

    Raises:
        TooFewRows: fewer than 10 texts of a label.
        DeclarationError: lengths or a share that mean nothing.

    Cost: some 40 s of CPU for 50,000 texts of 200 characters, 5 s for 6,000; BLAS is held to one thread meanwhile, in the whole process.
    """
    import sklearn.linear_model  # noqa: F401 - only a BLAS that is loaded already can be held
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped] # scikit-learn brings it, without types

    _check(texts, labels, families, max_false_block, weights)
    # Its threads share sums too small to be worth it, and spin between them: half of all CPU, for nothing.
    with threadpool_limits(limits=1, user_api="blas"):
        return _trained(_read(texts, labels, weights), families, max_false_block, seed)


def _trained(read: _Texts, families: Sequence[str], max_false_block: float, seed: int) -> Learned:
    raw = _cross_fitted(read, seed)
    slope, offset = _calibrated(raw, read)
    scores = 1.0 / (1.0 + np.exp(-np.clip(slope * raw + offset, -30.0, 30.0)))
    least = least_of_use(scores[read.harmful])
    threshold = choose_threshold(scores[~read.harmful], max_false_block, at_least=least)
    fitted = _fit(read, np.arange(len(read.found)))
    names, centroids, floors = _families(read, fitted, families)
    settings = Settings(fitted.intercept, slope, offset, threshold.value, max_false_block, least, names, floors)
    kept = _kept(scores[~read.harmful])
    artifact = to_artifact(Parts(settings, fitted.weights, read.rarity, centroids, kept))
    report = Report(
        n_harmful=int(read.harmful.sum()),
        n_harmless=int((~read.harmful).sum()),
        n_groups=len(np.unique(read.groups)),
        threshold=threshold,
        recall=float((scores[read.harmful] >= threshold.value).mean()),
        auc=_auc(scores, read.harmful),
        families=tuple(name for name in names if name),
    )
    return Learned(artifact, report)


def recalibrated(artifact: bytes, harmless: Sequence[str], max_false_block: float) -> bytes:
    """The same weights with a threshold from further harmless texts, which they had not seen.

    Raises:
        BadGuard: the bytes are no artifact.
        TooFewRows: no harmless text is known.
    """
    parts = from_artifact(artifact)
    scorer = LearnedScorer(parts)
    scores = np.concatenate([parts.harmless, np.array([scorer.score(text) for text in harmless], dtype=np.float32)])
    chosen = choose_threshold(scores, max_false_block, at_least=parts.settings.at_least).value
    settings = msgspec.structs.replace(parts.settings, threshold=chosen, max_false_block=max_false_block)
    return to_artifact(Parts(settings, parts.weights, parts.rarity, parts.centroids, _kept(scores)))


def _check(texts: Sequence[str], labels: Sequence[bool], families: Sequence[str], share: float, weights: Any) -> None:
    lengths = {len(texts), len(labels), len(families), *([] if weights is None else [len(weights)])}
    if len(lengths) > 1:
        raise DeclarationError(f"Texts, labels, families and weights have the lengths {sorted(lengths)}.")
    if not 0.0 < share < 1.0:
        raise DeclarationError(f"A share of false blocks of {share!r} means nothing.", hint="Use 0.02, for example.")
    fewest = min(sum(map(bool, labels)), len(labels) - sum(map(bool, labels)))
    if fewest < N_LEAST:
        raise TooFewRows(
            f"{fewest} texts of one label are too few to learn from: {N_LEAST} of each are needed.",
            hint="Label more texts.",
            n=fewest,
            n_needed=N_LEAST,
        )


def _read(texts: Sequence[str], labels: Sequence[bool], weights: Sequence[float] | None) -> _Texts:
    found = [[features(view) for view in views(text)] for text in texts]
    harmful = np.array([bool(label) for label in labels])
    given = np.ones(len(texts)) if weights is None else np.asarray(weights, dtype=np.float64)
    seen_in = np.zeros(2**N_BITS)
    for each in found:
        seen_in[np.unique(np.concatenate([view.buckets for view in each]))] += 1.0
    rarity = np.log1p(len(texts)) - np.log1p(seen_in) + 1.0
    present = seen_in > 0
    rarity /= float(np.average(rarity[present], weights=seen_in[present]))
    rare = rarity.astype(np.float32)
    return _Texts(found, harmful, given, groups([keys(text) for text in texts]), rare, _pieces(found, rare))


def _fit(read: _Texts, rows: NDArray[np.intp]) -> _Fit:
    """Weights from some of the texts: long or disguised ones by parts, and of harmful ones only the worst part, found by a first fit."""
    pieces, chosen = read.pieces, np.zeros(len(read.found), dtype=np.bool_)
    chosen[rows] = True
    mine = np.flatnonzero(chosen[pieces.rows])
    fitted = _solved(read, mine)
    several = mine[read.harmful[pieces.rows[mine]] & (pieces.shares[mine] < 1.0)]
    if not len(several):
        return fitted
    sums = pieces.x[several] @ fitted.unfolded
    # By text, the worst part last.
    ranked = several[np.lexsort((sums, pieces.rows[several]))]
    worst = ranked[np.append(pieces.rows[ranked][1:] != pieces.rows[ranked][:-1], True)]
    return _solved(read, np.append(np.setdiff1d(mine, several), worst), whole=len(worst))


def _solved(read: _Texts, chosen: NDArray[np.intp], *, whole: int = 0) -> _Fit:
    """Weights from some pieces; the last `whole` of them count as texts, not as parts of texts."""
    from sklearn.linear_model import LogisticRegression

    rows, shares = read.pieces.rows[chosen], read.pieces.shares[chosen]
    shares[len(shares) - whole :] = 1.0
    harmful, counted = read.harmful[rows], shares * read.weights[rows]
    for label in (False, True):
        counted[harmful == label] *= len(rows) / (2.0 * counted[harmful == label].sum())
    # It wakes no threads of BLAS, which spin: over so many buckets lbfgs spends more on them than on the texts.
    solver = LogisticRegression(C=_STRENGTH, solver="liblinear", intercept_scaling=_FREE, tol=1e-2, random_state=0)
    solver.fit(read.pieces.x[chosen], harmful, sample_weight=counted)
    weights, buckets = np.zeros(2**N_BITS, dtype=np.float32), read.pieces.buckets
    weights[buckets] = solver.coef_[0] * read.rarity[buckets]
    return _Fit(solver.coef_[0], weights, float(solver.intercept_[0]))


def _pieces(found: Sequence[Sequence[Features]], rarity: NDArray[np.float32]) -> _Pieces:
    """Every part of every text that may be learned from."""
    from scipy.sparse import csr_matrix

    rows, shares, buckets, values, ends = [], [], [], [], [0]
    for row, text in enumerate(found):
        parts = [each for view in text for each in _learned_parts(view)]
        for inside in parts:
            distinct, counts = np.unique(inside.buckets, return_counts=True)
            scale = 1.0 / math.sqrt(max(1, len(inside.buckets)))
            buckets.append(distinct.astype(np.int32))
            values.append((counts * rarity[distinct] * scale).astype(np.float32))
            ends.append(ends[-1] + len(distinct))
            rows.append(row)
            shares.append(1.0 / len(parts))
    present, columns = np.unique(np.concatenate(buckets), return_inverse=True)
    x = csr_matrix((np.concatenate(values), columns.astype(np.int32), np.array(ends)), shape=(len(rows), len(present)))
    return _Pieces(x, present.astype(np.intp), np.array(rows, dtype=np.intp), np.array(shares))


def _learned_parts(found: Features) -> list[Features]:
    """The parts of a view that are learned from: all of a short one, a few windows of a long one."""
    if found.n_chars <= SIZES[-1]:
        return [found]
    spans = [(begin, end) for begin, end in windows(found.n_chars).tolist() if end - begin == SIZES[-1]]
    picked = [spans[int(at)] for at in np.linspace(0, len(spans) - 1, min(len(spans), _MOST_WINDOWS))]
    return [part(found, begin, end) for begin, end in picked]


def _cross_fitted(read: _Texts, seed: int) -> Floats:
    """The evidence of each text by a model that saw neither it nor its near-duplicates."""
    fold = _folds(read, 3 if len(read.found) > _MANY else 5, seed)
    raw = np.zeros(len(read.found))
    for each in range(int(fold.max()) + 1):
        rows = np.flatnonzero(fold != each)
        if len(np.unique(read.harmful[rows])) < 2:
            raise TooFewRows(
                "The texts of one label are all nearly the same.", hint="Label texts of more kinds.", n=1, n_needed=2
            )
        fitted = _fit(read, rows)
        for other in np.flatnonzero(fold == each):
            raw[other] = fitted.evidence_of(read.found[other])
    return raw


def _folds(read: _Texts, n_folds: int, seed: int) -> NDArray[np.intp]:
    """The fold of each text: groups in turns, of each label apart, in an order by chance."""
    places, of_text = np.unique(read.groups, return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(places))
    by_label = order[np.argsort(read.harmful[places[order]], kind="stable")]
    fold = np.empty(len(places), dtype=np.intp)
    fold[by_label] = np.arange(len(places)) % n_folds
    return fold[of_text]


def _calibrated(raw: Floats, read: _Texts) -> tuple[float, float]:
    """Slope and offset of the logistic curve from evidence to probability, both labels counted alike (Platt, 1999)."""
    from sklearn.linear_model import LogisticRegression

    curve = LogisticRegression(C=1e3, class_weight="balanced").fit(raw[:, None], read.harmful)
    # Evidence that does not rank unseen texts at all must not be turned round.
    return max(float(curve.coef_[0, 0]), 1e-3), float(curve.intercept_[0])


def _families(
    read: _Texts, fitted: _Fit, families: Sequence[str]
) -> tuple[list[str], NDArray[np.float32], list[float]]:
    """Name, centre and least likeness of each family of harmful texts; those without a name are one."""
    rows = np.flatnonzero(read.harmful).tolist()
    made = np.array([_worst_sketch(read.found[row], fitted, read.rarity) for row in rows])
    names = sorted({families[row] for row in rows})
    centroids, floors = [], []
    for name in names:
        own = made[[families[row] == name for row in rows]]
        total = own.sum(axis=0)
        # Each is compared with the centre of the others, or a text would always be like its own family.
        others = total - own if len(own) > 1 else own
        likenesses = (own * _unit(others)).sum(axis=1)
        centroids.append(_unit(total[None, :])[0])
        floors.append(round(float(np.quantile(likenesses, _FLOOR)), 4))
    return names, np.array(centroids, dtype=np.float32), floors


def _worst_sketch(found: Sequence[Features], fitted: _Fit, rarity: NDArray[np.float32]) -> NDArray[np.float32]:
    spans = [windows(view.n_chars) for view in found]
    sums = [evidence(view, fitted.weights, each) for view, each in zip(found, spans, strict=True)]
    best = int(np.argmax([each.max() for each in sums]))
    begin, end = spans[best][int(sums[best].argmax())]
    return sketch(part(found[best], int(begin), int(end)), rarity)


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.sqrt((vectors * vectors).sum(axis=1, keepdims=True))
    return (vectors / np.where(lengths > 0.0, lengths, 1.0)).astype(np.float32)


def _kept(scores: NDArray[Any]) -> NDArray[np.float32]:
    """At most 4,000 of them, at equal ranks, so that every share of them stays what it was."""
    ranked = np.sort(scores)
    if len(ranked) <= _MOST_KEPT:
        return ranked.astype(np.float32)
    at = np.linspace(0, len(ranked) - 1, _MOST_KEPT).round().astype(np.intp)
    return ranked[at].astype(np.float32)


def _auc(scores: Floats, harmful: NDArray[np.bool_]) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(harmful, scores))

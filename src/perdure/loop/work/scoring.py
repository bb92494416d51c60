"""What any version of a model answers to any labelled rows: through its own features and its own predictor.

Remedies rank past versions with it, gates compare candidates, and diagnosis and backtests ask it too. A loaded
version is kept while its blobs are open; features and predictions of a scoreboard are computed once.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from weakref import WeakKeyDictionary

import numpy as np
import polars as pl
from numpy.typing import NDArray

from perdure.assets.model import Model
from perdure.assets.version import Version
from perdure.core.errors import NotFound, PerdureError
from perdure.core.ids import Digest
from perdure.engines.features import FeaturePlan
from perdure.engines.performance import get_metric
from perdure.engines.training import Predictor, load_predictor
from perdure.engines.training.dataset import LABEL
from perdure.loop.protocols import Workplace
from perdure.loop.work.datasets import fitted_until
from perdure.loop.work.rows import AS_OF, holdout_rows, kept, labelled_rows, usable_histories
from perdure.loop.work.versions import get_version, plan_of
from perdure.stores.blobs.protocols import Blobs

Float1D = NDArray[np.float64]
Float2D = NDArray[np.float32]

_MAX_LOADED = 256
"""More than the versions that compete in one repair (one fewer, and all are loaded anew in each): each takes some 2 MB,
and 10 ms to load."""
_LOADED: WeakKeyDictionary[Blobs, OrderedDict[str, Predictor]] = WeakKeyDictionary()


def score_version(place: Workplace, model: type[Model], version: Version | str, rows: pl.DataFrame) -> Float1D:
    """Predictions of a version for rows, as it would have answered at each row's `_as_of`.

    Args:
        place: where features, versions and blobs are.
        model: whose rows they are.
        version: any version of the model, or its id.
        rows: the contract's fields and `_as_of`, such as those of `labelled_rows`, shape (n,).

    Returns: float64, shape (n,): the label's unit, or the probability of class 1; NaN where it has no answer.

    Raises:
        NotFound, Corrupt: an artifact of it is gone, or is not what it was.
        BadView: it needs a field that the rows do not have.
    Cost: loading once 20 ms; then some 10 µs a row.
    """
    named = version if isinstance(version, str) else version.id
    stored = get_version(place.stores.ledger, named)
    if stored.asset != model.name:
        raise NotFound(f"{named} is no version of {model.name!r}.", hint="Give one of its own versions.")
    plan = plan_of(stored)
    until = rows[AS_OF].max()
    if not isinstance(until, datetime):
        return np.empty(0)
    features = plan.offline(rows, AS_OF, usable_histories(place, plan, until)).frame
    return load(place, stored).predict(plan.encode(features))


def load(place: Workplace, version: Version) -> Predictor:
    """The predictor of a version that the ledger gave, from memory where it was loaded before."""
    loaded = _LOADED.setdefault(place.stores.blobs, OrderedDict())
    if version.id not in loaded:
        loaded[version.id] = load_anew(place, version)
        while len(loaded) > _MAX_LOADED:
            loaded.popitem(last=False)
    loaded.move_to_end(version.id)
    return loaded[version.id]


def load_anew(place: Workplace, version: Version) -> Predictor:
    """The predictor of a version that the ledger gave, from its blobs, each of which is read and verified.

    Raises:
        NotFound, Corrupt: a blob is gone, or is not what it was.
        BadModel: it lacks an artifact.
    """
    blobs = place.stores.blobs
    artifacts = {role: blobs.get(Digest(digest)) for role, digest in sorted(version.artifacts.items())}
    # The ledger knows the digests of what it gave, and each blob was just compared with its own.
    return load_predictor(version.definition, artifacts, trusted=True)


def why_not_loadable(place: Workplace, version: Version) -> str:
    """Why a version cannot answer, read from its blobs anew; empty when it can."""
    try:
        load_anew(place, version).predict(np.zeros((1, len(plan_of(version).features)), dtype=np.float32))
    except PerdureError as error:
        return str(error)
    return ""


def is_whole(place: Workplace, version: Version) -> bool:
    """Whether every blob of a version is there: a look at each file, not into it."""
    return all(place.stores.blobs.has(Digest(digest)) for digest in version.artifacts.values())


@dataclass(frozen=True, slots=True, eq=False)
class _Sheet:
    """Labelled rows with what was computed for them; it is kept, so it knows no store."""

    rows: pl.DataFrame
    features: dict[tuple[str, ...], pl.DataFrame] = field(default_factory=dict)
    predictions: dict[str, Float1D] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Scoreboard:
    """Labelled rows, and what each version says of them, computed when first asked for."""

    place: Workplace
    model: type[Model]
    now: datetime
    sheet: _Sheet

    @property
    def rows(self) -> pl.DataFrame:
        """The labelled rows; see `LabelledRows`."""
        return self.sheet.rows

    @property
    def y(self) -> Float1D:
        """Labels, shape (n,)."""
        return self.rows[LABEL].to_numpy()

    def x(self, version: Version) -> Float2D:
        """The rows as the version encodes them, shape (n, d)."""
        plan = plan_of(version)
        return plan.encode(self._raw(plan))

    def _raw(self, plan: FeaturePlan) -> pl.DataFrame:
        views = tuple(view.id for view in plan.views)
        if views not in self.sheet.features:
            history = usable_histories(self.place, plan, self.now)
            self.sheet.features[views] = plan.offline(self.rows, AS_OF, history).frame
        return self.sheet.features[views]

    def predictions(self, version: Version) -> Float1D:
        """Shape (n,); NaN where the version has no answer.

        Raises:
            NotFound, Corrupt, BadView: it cannot be loaded, or does not fit these rows.
        """
        if version.id not in self.sheet.predictions:
            self.sheet.predictions[version.id] = load(self.place, version).predict(self.x(version))
        return self.sheet.predictions[version.id]

    def unseen_by(self, *versions: Version) -> NDArray[np.bool_]:
        """Which rows none of the versions was fitted on, shape (n,): a person may fit on rows that a repair holds out."""
        find = partial(get_version, self.place.stores.ledger)
        ends = [end for version in versions if (end := fitted_until(version, find)) is not None]
        if not ends:
            return np.ones(self.rows.height, dtype=np.bool_)
        unseen: NDArray[np.bool_] = (self.rows[AS_OF] >= max(ends)).to_numpy()
        return unseen

    def losses(self, version: Version) -> Float1D:
        """Absolute errors in the label's unit, or log losses in nats, shape (n,); NaN where there is no answer."""
        metric = "mae" if self.model.task == "regression" else "log_loss"
        return get_metric(metric).row_loss(self.y, self.predictions(version))


def newest_scoreboard(place: Workplace, model: type[Model], now: datetime) -> Scoreboard:
    """Of the holdout's rows: what no candidate of a repair at `now` was fitted on.

    Raises:
        NotReady: the model's source was never taken in.
    """
    sheet = kept(place, model, now, "newest", lambda: _Sheet(holdout_rows(place, model, now)))
    return Scoreboard(place, model, now, sheet)


def scoreboard_between(
    place: Workplace, model: type[Model], now: datetime, start: datetime, end: datetime | None = None
) -> Scoreboard:
    """Of the labelled rows with `start <= _as_of < end`; to now without `end`."""

    def make() -> _Sheet:
        rows = labelled_rows(place, model, now, start).frame
        return _Sheet(rows if end is None else rows.filter(pl.col(AS_OF) < end))

    return Scoreboard(place, model, now, kept(place, model, now, ("between", start, end), make))

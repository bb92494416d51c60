"""One prediction explained: what each feature contributed, from the version that answered and the very features it was asked with.

Contributions are exact or refused (`engines.explain`). A version is loaded once and kept; its bytes are those whose digests the
ledger has, so a pickle among them is one that this project made.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

import msgspec

from perdure.core.clock import iso
from perdure.core.errors import NotFound, Refused
from perdure.surface.console.asking import instant
from perdure.surface.console.assets.known import Known, version_cell
from perdure.surface.console.assets.texts import said
from perdure.surface.console.records import Asked, Bars, Cell, Table, View
from perdure.surface.words import instant as told
from perdure.surface.words import number

if TYPE_CHECKING:
    import polars as pl

    from perdure.assets.version import Version
    from perdure.engines.training import Predictor
    from perdure.stores.blobs.protocols import Blobs

_COLUMNS = ("request_id", "key", "version", "latency_us", "row", "features", "prediction")
_BARS = 30
_SECOND = timedelta(seconds=1)
_SCALES: Mapping[str, str] = {
    "prediction": "They sum to the prediction.",
    "log_odds": "They sum to the log-odds of the answer.",
    "log": "They sum to the logarithm of the prediction.",
}


@dataclass(frozen=True, slots=True)
class Explained:
    """The page."""

    model: Cell
    version: Cell
    prediction: str
    unit: str
    truth: str
    """What it turned out to be, and how far off the answer was; empty where no label is known."""
    served: Cell
    facts: Table
    row: Table
    """The request's row."""
    contributions: Bars | None
    base: str
    scale: str
    features: Table
    why_none: str
    """Why there are no contributions."""


def view(asked: Asked) -> View:
    """`/predictions/{model}/{id}?at=`: `at`, the instant at which it was served, spares looking through all that was captured.

    Raises:
        NotFound: no such prediction was captured.
    """
    model = asked.path["model"]
    row = _captured(asked, model, asked.path["id"])
    known = Known("model", model, asked.project.project.models.get(model), asked.board.by_name.get(model))
    with asked.project.place.stores.ledger.read() as session:
        version = session.registry.get_version(row["version"])
    names = [str(each["name"]) for each in version.definition.get("features", ())]
    values = _shown(row["features"], names, version.definition.get("categories") or {})
    parts, base, scale, why_none = _contributions(asked, version, row["features"])
    unit = str((version.definition.get("label") or {}).get("column", ""))
    answer = f"{number(row['prediction'])} {unit}".strip()
    data = Explained(
        model=Cell(model, href=known.at()),
        version=version_cell(known, version.id),
        prediction=answer,
        unit=unit,
        truth=_truth(asked, known, row, unit),
        served=Cell(f"{told(row['served_at'])} UTC", at=row["served_at"]),
        facts=_facts(row),
        row=_row(row["row"]),
        contributions=_bars(dict(zip(names, parts, strict=True)), unit) if parts else None,
        base=f"{number(base)}" if parts else "",
        scale=_SCALES.get(scale, ""),
        features=_features(names, values, parts),
        why_none=why_none,
    )
    crumbs = [("Assets", "/assets"), (model, known.at()), ("predictions", known.at("predictions"))]
    return View(f"One prediction of {model}", data, crumbs=crumbs)


def _captured(asked: Asked, model: str, prediction: str) -> dict[str, Any]:
    from perdure.loop.work.outcomes import read_captures

    lake = asked.project.place.stores.lake
    at = instant(asked.query, "at", asked.board.at) if asked.query.get("at") else None
    if at is None:
        every = _of(read_captures(lake, model, None, None, ["version"]), prediction)
        at = every[0]["served_at"] if every else None
    found = [] if at is None else _of(read_captures(lake, model, at, at + _SECOND, _COLUMNS), prediction)
    if not found:
        raise NotFound(
            f"No prediction {prediction!r} of {model!r} was captured.",
            hint="Look among the newest predictions of the model.",
        )
    return found[0]


def _of(rows: pl.DataFrame, prediction: str) -> list[dict[str, Any]]:
    import polars as pl

    return [] if rows.is_empty() else rows.filter(pl.col("prediction_id") == prediction).to_dicts()


def _contributions(
    asked: Asked, version: Version, features: Sequence[float | None]
) -> tuple[list[float], float, str, str]:
    import numpy as np

    from perdure.engines.explain.contributions import scale_of

    x = np.asarray([[float("nan") if each is None else each for each in features]], dtype=np.float32)
    try:
        predictor = _loaded(
            cast("Hashable", asked.project.place.stores.blobs),
            msgspec.json.encode([version.definition, version.artifacts]),
        )
        values, base = predictor.explain(x)
        return values[0].tolist(), float(base[0]), scale_of(predictor.native()), ""
    except (Refused, NotFound) as error:
        return [], 0.0, "", f"{error.message} {error.hint}".strip()


@lru_cache(maxsize=4)
def _loaded(blobs: Hashable, told_bytes: bytes) -> Predictor:
    """A version's predictor, kept: versions never change."""
    from perdure.core.ids import Digest
    from perdure.engines.explain.contributions import contributions
    from perdure.engines.training import load_predictor

    held = cast("Blobs", blobs)
    definition, artifacts = msgspec.json.decode(told_bytes)
    wanted = {
        role: held.get(Digest(artifacts[role])) for role in ("native", definition["runtime"]) if role in artifacts
    }
    return load_predictor(definition, wanted, trusted=True, explainer=contributions)


def _shown(
    features: Sequence[float | None], names: Sequence[str], categories: Mapping[str, Sequence[str]]
) -> list[str]:
    """Values as people know them: a category by its name."""
    shown = []
    for name, value in zip(names, features, strict=True):
        labels = categories.get(name)
        missing = value is None or value != value  # noqa: PLR0124 - NaN alone differs from itself
        if missing:
            shown.append("missing")
        elif labels and value is not None and value == int(value) and 0 <= value < len(labels):
            shown.append(str(labels[int(value)]))
        else:
            shown.append(said(float(value)) if value is not None else "missing")
    return shown


def _bars(parts: Mapping[str, float], unit: str) -> Bars:
    ranked = sorted(parts.items(), key=lambda each: -abs(each[1]))[:_BARS]
    return Bars(
        "contributions", "What each feature added or took away", unit, [(name, value, None) for name, value in ranked]
    )


def _features(names: Sequence[str], values: Sequence[str], parts: Sequence[float]) -> Table:
    given: Sequence[float | None] = parts or [None] * len(names)
    rows = sorted(zip(names, values, given, strict=True), key=lambda each: -abs(each[2] or 0.0))
    return Table(
        ("Feature", "Value", "Contribution"),
        [
            (name, value, "–" if part is None else f"{'+' if part >= 0 else '−'}{number(abs(part))}")
            for name, value, part in rows[:200]
        ],
        "Features as the model saw them",
        numeric=frozenset({1, 2}),
        empty="It had no features.",
    )


def _facts(row: Mapping[str, Any]) -> Table:
    facts = (
        ("Prediction", row["prediction_id"]),
        ("Request", row["request_id"]),
        ("Key", row["key"] or "–"),
        ("Arm", row["arm"]),
        ("Server's time", f"{row['latency_us'] / 1000:.2f} ms"),
        ("Served at", iso(row["served_at"])),
    )
    return Table(("Fact", "Value"), facts, "Who asked, and when")


def _row(text: str | None) -> Table:
    try:
        held = msgspec.json.decode(text or "{}")
    except msgspec.DecodeError:
        held = {"row": text}
    rows = [(name, said(value)) for name, value in held.items()] if isinstance(held, dict) else [("row", said(held))]
    return Table(("Field", "Value"), rows[:200], "The row that was asked", empty="The row is not kept.")


def _truth(asked: Asked, known: Known, row: Mapping[str, Any], unit: str) -> str:
    """The newest label known by now."""
    from perdure.engines.training.dataset import LABEL
    from perdure.loop.work.outcomes import read_outcomes

    if known.declared is None:
        return ""
    at: datetime = row["served_at"]
    joined = read_outcomes(
        asked.project.place.stores.lake, known.name, known.declared.label, (at, at + _SECOND), asked.board.at
    )
    found = _of(joined.frame, row["prediction_id"])
    truth = found[0][LABEL] if found else None
    if truth is None:
        return ""
    return f"It turned out to be {number(truth)} {unit}: {number(abs(row['prediction'] - truth))} off."

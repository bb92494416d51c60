"""From what `fit` returned to what is served: ONNX behind a parity gate, or the library's own form.

`loop.work` calls `compile_model` after a training and keeps the artifacts as blobs; `predictor` loads
them. The native artifact is always kept: it explains, it is warm-started from, and it answers when
the gate is not passed.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from perdure.assets.model import Task
from perdure.core.errors import BadModel, Corrupt
from perdure.engines.training.conversion import to_onnx
from perdure.engines.training.fitted import booster_of, check_fitted, predict
from perdure.engines.training.parity import ParityReport, compare, not_compiled, probe_rows
from perdure.engines.training.predictor import OnnxRuntime

if TYPE_CHECKING:
    from perdure.assets.model import Float2D

Runtime = Literal["onnx", "native"]
NativeFormat = Literal["lightgbm", "pickle"]


@dataclass(frozen=True, slots=True)
class Compiled:
    """Artifacts by role (`native` always, `onnx` when the gate is passed) and how to run them."""

    runtime: Runtime
    artifacts: Mapping[str, bytes]
    native_format: NativeFormat
    task: Task
    n_features: int
    accepts_missing: bool
    """Whether the model answers rows with missing features; if not, the predictor answers NaN for them."""
    parity: ParityReport

    def definition(self) -> dict[str, Any]:
        """The keys of a version's definition that `load_predictor` reads."""
        return {
            "runtime": self.runtime,
            "native_format": self.native_format,
            "task": self.task,
            "n_features": self.n_features,
            "accepts_missing": self.accepts_missing,
            "parity": asdict(self.parity),
        }


def compile_model(fitted: Any, n_features: int, sample_x: Float2D, *, task: Task = "regression") -> Compiled:
    """Compile a fitted model and prove the compiled form on hard rows.

    A model that cannot be converted, or whose compiled form differs anywhere by more than 1e-5 of the
    prediction's scale, runs natively; the parity report says why. The same model gives the same bytes.

    Args:
        fitted: what `fit` returned.
        n_features: columns of `x`.
        sample_x: real encoded rows to compare on, shape (n, n_features), n >= 1.
        task: as the model declares it.

    Raises:
        BadModel: no sample row, an answer that cannot be served, or an object that cannot be stored.
    Cost: about 0.5 s for a hundred trees.
    """
    if sample_x.ndim != 2 or sample_x.shape[0] == 0 or sample_x.shape[1] != n_features:
        raise BadModel(f"The sample has shape {sample_x.shape}; expected at least one row of {n_features} features.")
    check_fitted(fitted, task)
    native_format, native = _native(fitted)
    accepts_missing = _accepts_missing(fitted, sample_x, task)
    onnx, parity = _gated(fitted, sample_x, task, accepts_missing=accepts_missing)
    artifacts = {"native": native} if onnx is None else {"native": native, "onnx": onnx}
    return Compiled(
        runtime="native" if onnx is None else "onnx",
        artifacts=artifacts,
        native_format=native_format,
        task=task,
        n_features=n_features,
        accepts_missing=accepts_missing,
        parity=parity,
    )


def _native(fitted: Any) -> tuple[NativeFormat, bytes]:
    booster = booster_of(fitted)
    if booster is not None:
        return "lightgbm", booster.model_to_string().encode()
    try:
        return "pickle", pickle.dumps(fitted, protocol=5)
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise BadModel(
            f"The fitted {type(fitted).__name__} cannot be stored: {error}.",
            hint="Define its class at the top of a module, and keep open files and lambdas out of it.",
        ) from error


def _accepts_missing(fitted: Any, sample_x: Float2D, task: Task) -> bool:
    missing = np.full((1, sample_x.shape[1]), np.nan, dtype=np.float32)
    try:
        return bool(np.isfinite(predict(fitted, missing, task)).all())
    except (ValueError, TypeError):  # scikit-learn's refusal
        return False


def _gated(fitted: Any, sample_x: Float2D, task: Task, *, accepts_missing: bool) -> tuple[bytes | None, ParityReport]:
    conversion = to_onnx(fitted, sample_x.shape[1], task)
    if conversion.onnx is None:
        return None, not_compiled(conversion.reason)
    sample = sample_x if accepts_missing else np.nan_to_num(sample_x, nan=0.0)
    probes = probe_rows(sample, conversion.splits, with_missing=accepts_missing)
    try:
        compiled = OnnxRuntime(conversion.onnx).predict(probes)
    except Corrupt as error:
        return None, not_compiled(error.message)
    parity = compare(predict(fitted, probes, task), compiled)
    return (conversion.onnx if parity.agreed else None), parity

"""What answers a row: a compiled or native model, loaded from a version's definition and artifacts.

`serve.scoring` loads one a version and asks it for every request; `loop.work` asks it for batches.
Nothing here knows features, contracts or stores. Importing this module loads no model library: ONNX
Runtime or LightGBM is imported when a version needs it.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from perdure.assets.model import Task
from perdure.core.errors import BadModel, Corrupt, Refused, UntrustedArtifact
from perdure.engines.training.calibration import Calibration
from perdure.engines.training.fitted import predict as predict_native
from perdure.engines.training.lightgbm_text import check_text

if TYPE_CHECKING:
    from perdure.assets.model import Float1D, Float2D

Float64Matrix = NDArray[np.float64]


class Explainer(Protocol):
    """Splits predictions into contributions: `engines.explain.contributions`, injected by the caller."""

    def __call__(self, fitted: Any, x: Float2D) -> tuple[Float64Matrix, Float1D]:
        """Contributions of shape (n, d) and base of shape (n,)."""
        ...


class OnnxRuntime:
    """One ONNX session on the calling thread: no pool, no spinning. Safe to share between threads."""

    __slots__ = ("_outputs", "_session")

    def __init__(self, onnx: bytes) -> None:
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as state

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.inter_op.allow_spinning", "0")
        options.log_severity_level = 4
        try:
            self._session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
        except (
            state.Fail,
            state.InvalidProtobuf,
            state.InvalidGraph,
            state.NotImplemented,
            state.InvalidArgument,
        ) as error:
            raise Corrupt(
                f"The ONNX artifact cannot be loaded: {error}.", hint="Release a version that is whole."
            ) from error
        self._outputs = [self._session.get_outputs()[0].name]

    def predict(self, x: Float2D) -> Float1D:
        """Predictions as float64, shape (n,). `x` is float32 of shape (n, d)."""
        answer = self._session.run(self._outputs, {"x": x})[0]
        if answer.ndim == 2:  # a value, or the probabilities of the classes 0 and 1
            answer = answer[:, -1]
        result: Float1D = answer.astype(np.float64)
        return result


class Predictor:
    """Answers encoded rows. Make one by `load_predictor`. Safe to share between threads."""

    __slots__ = (
        "_accepts_missing",
        "_calibration",
        "_explainer",
        "_load_native",
        "_loaded",
        "_n_features",
        "_run",
        "task",
    )

    def __init__(
        self,
        run: Callable[[Float2D], Float1D],
        load_native: Callable[[], Any],
        definition: Mapping[str, Any],
        explainer: Explainer | None,
    ) -> None:
        self._run = run
        self._load_native = load_native
        self._loaded: Any = None
        self._explainer = explainer
        self._n_features = int(definition["n_features"])
        self._accepts_missing = bool(definition["accepts_missing"])
        self._calibration = Calibration.of(definition)
        self.task: Task = definition["task"]

    def predict(self, x: Float2D) -> Float1D:
        """Predictions as float64, shape (n,): the label's unit, or the probability of class 1.

        NaN where a feature is missing and the model takes no missing features.

        Args:
            x: float32, shape (n, d), C order, in the order of the version's features; any n, 0 too.

        Raises:
            BadModel: `x` has another shape or type.
        Cost: a hundred trees of 31 leaves take ONNX about 12 µs for one row and 180 µs for 50.
        """
        if x.ndim != 2 or x.shape[1] != self._n_features or x.dtype != np.float32:
            raise BadModel(f"Rows of {x.dtype} and shape {x.shape} came; expected float32 of (n, {self._n_features}).")
        if not len(x):
            return np.empty(0)
        if self._accepts_missing:
            return self._run(x)
        return self._run_complete(x)

    def _run_complete(self, x: Float2D) -> Float1D:
        missing = np.isnan(x).any(axis=1)
        if not missing.any():
            return self._run(x)
        answers = np.full(len(x), np.nan)
        if not missing.all():
            answers[~missing] = self._run(x[~missing])
        return answers

    def native(self) -> Any:
        """The model in its library's own form, for explaining and warm starts; loaded once, when first asked for.

        A version's calibration is not in it: `native_predict` answers with it.

        Raises:
            UntrustedArtifact: it is a pickle, and the predictor was not loaded as trusted.
        """
        if self._loaded is None:
            self._loaded = self._load_native()
        return self._loaded

    def native_predict(self, x: Float2D) -> Float1D:
        """What the native model answers, calibrated as the version is: the other side of the parity gate.

        Raises:
            UntrustedArtifact: as `native`.
        """
        answer = predict_native(self.native(), x, self.task, n_threads=1)
        return answer if self._calibration is None else self._calibration.apply(answer)

    def explain(self, x: Float2D) -> tuple[Float64Matrix, Float1D]:
        """Contributions of shape (n, d) and base of shape (n,); a row's sum is its raw prediction.

        Raises:
            Refused: this kind of model has no exact contributions, or no explainer was given.
            UntrustedArtifact: as `native`.
        """
        if self._explainer is None:
            raise Refused(
                "This predictor was loaded without an explainer.",
                hint="load_predictor(..., explainer=perdure.engines.explain.contributions.contributions)",
            )
        values, base = self._explainer(self.native(), x)
        if self._calibration is None:
            return values, base
        if not np.allclose(values.sum(axis=1) + base, predict_native(self.native(), x, self.task), rtol=1e-4):
            raise Refused("A calibrated model whose contributions do not sum to its prediction has none.")
        return values * self._calibration.slope, self._calibration.apply(base)


def load_predictor(
    definition: Mapping[str, Any],
    artifacts: Mapping[str, bytes],
    *,
    trusted: bool,
    explainer: Explainer | None = None,
) -> Predictor:
    """The predictor of a version.

    Args:
        definition: holds the keys of `Compiled.definition()`, and `calibration` where it has one.
        artifacts: bytes by role: `onnx`, `native`.
        trusted: whether the ledger knows the digests of the artifacts. A pickle is only opened then;
            ONNX and LightGBM's text run no code of theirs.
        explainer: for `Predictor.explain`.

    Raises:
        UntrustedArtifact: the model runs from a pickle and is not trusted.
        Corrupt: an artifact is damaged.
        BadModel: an artifact or key is missing.
    """
    for role in {definition.get("runtime"), "native"}:
        if role not in artifacts:
            raise BadModel(f"The version has no artifact {role!r}.", hint=f"It has {', '.join(artifacts) or 'none'}.")
    task: Task = definition["task"]

    def load() -> Any:
        return load_native(definition["native_format"], artifacts["native"], trusted=trusted)

    if definition["runtime"] == "onnx":
        return Predictor(OnnxRuntime(artifacts["onnx"]).predict, load, definition, explainer)
    native, calibration = load(), Calibration.of(definition)

    def run(x: Float2D) -> Float1D:
        answer = predict_native(native, x, task, n_threads=1)
        return answer if calibration is None else calibration.apply(answer)

    return Predictor(run, lambda: native, definition, explainer)


def load_native(native_format: str, data: bytes, *, trusted: bool) -> Any:
    """The fitted model from its native artifact: a LightGBM Booster, or the unpickled object.

    Raises:
        UntrustedArtifact: a pickle that is not trusted; it is not opened.
        Corrupt: the bytes are damaged, or need code that is not there.
    """
    if native_format == "lightgbm":
        from lightgbm import Booster

        text = data.decode(errors="replace")
        check_text(text)
        return Booster(model_str=text)
    if not trusted:
        raise UntrustedArtifact(
            "The model is a pickle that the ledger does not know; opening it could run anything.",
            hint="Train and release it here, so that the ledger knows its digest.",
        )
    try:
        return pickle.loads(data)  # noqa: S301 - trusted: the ledger knows its digest
    except (pickle.UnpicklingError, EOFError, ImportError, AttributeError, IndexError, ValueError) as error:
        raise Corrupt(
            f"The pickled model cannot be opened: {type(error).__name__}: {error}.",
            hint="Install the packages it was trained with, or release a version that is whole.",
        ) from error

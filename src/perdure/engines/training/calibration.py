"""A straight line over a model's predictions: `intercept + slope * prediction`, as a version of its own.

`loop.work.recalibrating` fits one on the newest labelled rows when a model is off by a shift or a scale, and
makes a version of it without fitting the model anew: the compiled graph gets a Mul and an Add, the
native model stays as it is and its answers are put on the line when they are asked for. A line over a
line is a line, so a version that is calibrated again holds one calibration, not two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from perdure.core.errors import Corrupt

if TYPE_CHECKING:
    from perdure.assets.model import Float1D

_SLOPES = (0.2, 5.0)
"""Outside, predictions say so little of the labels that a line through them is no calibration."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """A line over predictions. Both numbers are float32 values, so that compiled and native answers agree."""

    intercept: float
    """In the label's unit."""
    slope: float

    @classmethod
    def of(cls, definition: Mapping[str, Any]) -> Self | None:
        """The calibration that a version's definition holds, or None."""
        found = definition.get("calibration")
        return None if found is None else cls(float(found["intercept"]), float(found["slope"]))

    def apply(self, prediction: Float1D) -> Float1D:
        """Predictions put on the line, shape (n,); infinite where they leave the numbers."""
        with np.errstate(over="ignore"):
            return self.intercept + self.slope * prediction

    def after(self, first: Calibration | None) -> Calibration:
        """This line over predictions that were put on `first` already, as one line.

        >>> Calibration(1.0, 2.0).after(Calibration(3.0, 0.5))
        Calibration(intercept=7.0, slope=1.0)
        """
        if first is None:
            return self
        return _as_float32(self.intercept + self.slope * first.intercept, self.slope * first.slope)


def fit_calibration(prediction: Float1D, y: Float1D) -> Calibration | None:
    """The least-squares line from predictions to labels; None when it would be no calibration.

    Args:
        prediction: shape (n,), finite.
        y: labels, shape (n,).

    Returns: None when predictions do not vary, or the slope is below 0.2 or above 5.

    >>> fit_calibration(np.array([1.0, 2.0, 3.0]), np.array([3.0, 5.0, 7.0]))
    Calibration(intercept=1.0, slope=2.0)
    """
    if len(y) < 2:
        return None
    centred = prediction - prediction.mean()
    spread = float((centred * centred).sum())
    if spread <= 0.0:
        return None
    slope = float((centred * (y - y.mean())).sum()) / spread
    if not _SLOPES[0] <= slope <= _SLOPES[1]:
        return None
    return _as_float32(float(y.mean()) - slope * float(prediction.mean()), slope)


def _as_float32(intercept: float, slope: float) -> Calibration:
    return Calibration(float(np.float32(intercept)), float(np.float32(slope)))


def calibrated_onnx(onnx: bytes, calibration: Calibration, before: Calibration | None) -> bytes:
    """The compiled graph with a Mul and an Add behind its output.

    Args:
        onnx: bytes of a regression's graph.
        calibration: the whole line, from the uncalibrated output.
        before: the line that the graph ends in already; its two numbers are replaced.

    Raises:
        Corrupt: `before` is not what the graph ends in.
    """
    from onnx import ModelProto, TensorProto, helper, numpy_helper

    model = ModelProto.FromString(onnx)
    graph = model.graph
    numbers = {"calibration_slope": calibration.slope, "calibration_intercept": calibration.intercept}
    if before is not None:
        kept = [each for each in graph.initializer if each.name not in numbers]
        if len(kept) + len(numbers) != len(graph.initializer):
            raise Corrupt("The calibrated graph has no calibration.", hint="Release a version that is whole.")
        del graph.initializer[:]
        graph.initializer.extend(kept)
    else:
        output = graph.output[0].name
        for node in graph.node:
            node.output[:] = ["uncalibrated" if name == output else name for name in node.output]
        graph.node.extend(
            [
                helper.make_node("Mul", ["uncalibrated", "calibration_slope"], ["scaled"]),
                helper.make_node("Add", ["scaled", "calibration_intercept"], [output]),
            ]
        )
    for name, value in numbers.items():
        graph.initializer.append(numpy_helper.from_array(np.array([value], dtype=np.float32), name))
        assert graph.initializer[-1].data_type == TensorProto.FLOAT
    return bytes(model.SerializeToString(deterministic=True))

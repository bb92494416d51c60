"""From a fitted model to ONNX bytes: LightGBM by onnxmltools, scikit-learn by skl2onnx.

The bytes are a function of the model alone (names are fixed, nothing in them tells the time), so
their digest is the same each time. A model that the converters do not know is no error: the
conversion says why, and the model runs natively.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perdure.assets.model import Task
from perdure.engines.training.fitted import booster_of
from perdure.engines.training.lightgbm_text import explicit_text
from perdure.engines.training.lightgbm_trees import first_tree, read_trees

if TYPE_CHECKING:
    from onnx import ModelProto

INPUT = "x"
_OPSETS = {"": 18, "ai.onnx.ml": 3}

# The converters have no error tree of their own; these are what they raise on models they do not know.
_CONVERTER_ERRORS = (RuntimeError, ValueError, TypeError, LookupError, AttributeError, ImportError)


@dataclass(frozen=True, slots=True)
class Conversion:
    """ONNX bytes, or None and the reason. `splits` are the trees' (feature, threshold) pairs, if any."""

    onnx: bytes | None
    reason: str = ""
    splits: tuple[tuple[int, float], ...] = ()


def to_onnx(fitted: Any, n_features: int, task: Task) -> Conversion:
    """Convert a fitted model of `n_features` float32 columns; the batch size stays open."""
    booster = booster_of(fitted)
    if booster is not None:
        text = explicit_text(booster.model_to_string())
        if text is None:
            return Conversion(None, "LightGBM takes zero for missing here, which ONNX cannot say")
        return _guarded(lambda: _from_lightgbm(text, n_features), task)
    sklearn_base = sys.modules.get("sklearn.base")
    if sklearn_base is not None and isinstance(fitted, sklearn_base.BaseEstimator):
        return _guarded(lambda: _from_sklearn(fitted, n_features, task), task)
    return Conversion(None, f"{type(fitted).__name__} is neither a LightGBM nor a scikit-learn model")


def _guarded(convert: Callable[[], ModelProto], task: Task) -> Conversion:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the converters warn of their own dependencies
            model = convert()
    except _CONVERTER_ERRORS as error:
        first_line = (str(error).strip().splitlines() or [""])[0]
        return Conversion(None, f"not convertible: {type(error).__name__}: {first_line}"[:300])
    output = model.graph.output[-1 if task == "classification" else 0].name
    _keep_output(model, output)
    _sort_opsets(model)
    return Conversion(model.SerializeToString(deterministic=True), "", _splits(model))


def _from_lightgbm(text: str, n_features: int) -> ModelProto:
    from lightgbm import Booster
    from onnxmltools.convert.common.data_types import FloatTensorType
    from onnxmltools.convert.lightgbm.convert import convert

    types, trees = [(INPUT, FloatTensorType([None, n_features]))], read_trees(text)
    converted = Booster(model_str=text if trees is None else first_tree(text))
    model: ModelProto = convert(converted, name="model", initial_types=types, zipmap=False)
    if trees is not None:
        trees.fill(next(node for node in model.graph.node if node.op_type.startswith("TreeEnsemble")))
    return model


def _from_sklearn(fitted: Any, n_features: int, task: Task) -> ModelProto:
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType

    options = {id(fitted): {"zipmap": False}} if task == "classification" else None
    types = [(INPUT, FloatTensorType([None, n_features]))]
    model: ModelProto = convert_sklearn(
        fitted, name="model", initial_types=types, options=options, target_opset=_OPSETS
    )
    return model


def _keep_output(model: ModelProto, output: str) -> None:
    """Leave one output in the graph, and only the nodes that it needs."""
    needed, kept = {output}, []
    for node in reversed(model.graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(node.input)
    outputs = [each for each in model.graph.output if each.name == output]
    del model.graph.node[:], model.graph.output[:]
    model.graph.node.extend(reversed(kept))
    model.graph.output.extend(outputs)


def _sort_opsets(model: ModelProto) -> None:
    """By name: onnxmltools lists them in the order of a set, which every process shuffles anew."""
    opsets = sorted(model.opset_import, key=lambda opset: opset.domain)
    del model.opset_import[:]
    model.opset_import.extend(opsets)


def _splits(model: ModelProto) -> tuple[tuple[int, float], ...]:
    """The (feature, threshold) of every split of the trees, without repeats, sorted."""
    found: set[tuple[int, float]] = set()
    for node in model.graph.node:
        attributes = {attribute.name: attribute for attribute in node.attribute}
        if "nodes_values" in attributes:
            modes = attributes["nodes_modes"].strings
            pairs = zip(attributes["nodes_featureids"].ints, attributes["nodes_values"].floats, modes, strict=True)
            found.update((int(feature), float(value)) for feature, value, mode in pairs if mode == b"BRANCH_LEQ")
    return tuple(sorted(found))

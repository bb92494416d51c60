"""Builds the ONNX graph of a BERT-like embedder from its weights: one text's token ids in, its unit vector out. Called once a cache.

One text, not a batch: nothing is padded, nothing masked, and no other text can change a vector. That is the faster way too on one thread:
1.5 times that of batches of 16.

Int8, where asked: weights by column, activations *by row*, that is by token. A range over the whole input, as ONNX Runtime's own
`quantize_dynamic` takes it, is set by its few largest tokens. What attention takes the mean of, its values, stays float32: they are a
twelfth of the work and half of the error, most of all of a single word's. Two things more, for nothing: what Gelu gives has a known
least value, so it takes the whole range of a byte; and weights are scaled so that no sum of two products leaves 16 bits, where processors
without VNNI would cut it silently: vectors are the same everywhere but for float32's rounding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

VERSION = 1
"""Of what this file builds: part of a fingerprint, for another graph gives other vectors."""
Weights = Mapping[str, NDArray[Any]]
_HEAD = 32
"""Members of an attention head, of all models of this family."""
_EPSILON = 1e-12  # BERT's `layer_norm_eps`
_BYTE = 127
_PAIR = 127
"""Most that two weights of one sign together may be before each is rounded, which adds 1: 255 · 128 fits into 16 bits."""
_GELU_LEAST = 0.17004  # Gelu's minimum is -0.16997, at -0.7518


class _Graph:
    def __init__(self, weights: Weights, quantised: bool) -> None:
        self.weights = weights
        self.quantised = quantised
        self.nodes: list[NodeProto] = []
        self.constants: dict[str, TensorProto] = {}

    def held(self, value: Any, kind: Any = np.float32) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = numpy_helper.from_array(np.array(value, dtype=kind, order="C"), name)
        return name

    def node(self, operation: str, *inputs: str, **settings: Any) -> str:
        return self.nodes_of(operation, inputs, 1, **settings)[0]

    def nodes_of(self, operation: str, inputs: Sequence[str], n: int, **settings: Any) -> list[str]:
        outputs = [f"n{len(self.nodes)}_{each}" for each in range(n)]
        self.nodes.append(helper.make_node(operation, inputs, outputs, **settings))
        return outputs

    def normalised(self, x: str, layer: str) -> str:
        gain, shift = self.held(self.weights[f"{layer}.weight"]), self.held(self.weights[f"{layer}.bias"])
        return self.node("LayerNormalization", x, gain, shift, axis=-1, epsilon=_EPSILON)

    def linear(
        self, x: str, weight: NDArray[Any], bias: NDArray[Any], *, after_gelu: bool = False, exact: bool = False
    ) -> str:
        """`x @ weight.T + bias`; weight (out, in) as PyTorch keeps it. `exact`: never in int8."""
        columns = weight.T.astype(np.float32)
        if not self.quantised or exact:
            return self.node("Gemm", x, self.held(columns), self.held(bias))
        whole, scale = _whole(columns, np.maximum(np.abs(columns).max(axis=0) / _BYTE, _pairs(columns) / _PAIR))
        flat = self.held([-1], np.int64)
        if after_gelu:
            most = float(2 * _BYTE + 1)
            x = self.node("Add", x, self.held(_GELU_LEAST))
            top = self.node("ReduceMax", x, flat, keepdims=0)
            bias = bias - _GELU_LEAST * (whole.astype(np.float32) * scale).sum(axis=0)
            zero, zeros = 0, []
        else:
            most = float(_BYTE)
            top = self.node("ReduceMax", self.node("Abs", x), flat, keepdims=0)
            top = self.node("Max", top, self.held(1e-9))
            zero = _BYTE + 1
            zeros = [self.node("Expand", self.held([zero], np.uint8), self.node("Shape", top))]
        step = self.node("Mul", top, self.held(1 / most))
        row = self.node("QuantizeLinear", x, step, *zeros, axis=0)
        product = self.node("MatMulInteger", row, self.held(whole, np.int8), self.held(zero, np.uint8))
        # By row and by column one after the other: one product of both is fused by ONNX Runtime as if it were one scale.
        product = self.node("DequantizeLinear", product, step, axis=0)
        return self.node("Add", self.node("Mul", product, self.held(scale)), self.held(bias))


def build(weights: Weights, *, quantised: bool, n_tokens: int) -> bytes:
    """The model as ONNX bytes: `ids` int64 (n,) → `embedding` float32 (hidden,), the mean of its tokens, of length 1.

    Args:
        weights: by the names of Hugging Face's BERT, such as `encoder.layer.0.output.dense.weight`.
        quantised: int8 as told above; else float32.
        n_tokens: the most ids that a text has.

    Cost: 1 s for MiniLM.
    """
    graph = _Graph(weights, quantised)
    x = graph.normalised(_embedded(graph, n_tokens), "embeddings.LayerNorm")
    n_layers = sum(name.endswith("intermediate.dense.weight") for name in weights)
    for number in range(n_layers):
        x = _layer(graph, x, f"encoder.layer.{number}")
    first = graph.held([0], np.int64)
    mean = graph.node("ReduceMean", x, first, keepdims=0)
    length = graph.node("ReduceL2", mean, first, keepdims=1)
    graph.nodes.append(helper.make_node("Div", [mean, length], ["embedding"]))
    hidden = weights["embeddings.LayerNorm.weight"].shape[0]
    told = helper.make_graph(
        graph.nodes,
        "embedder",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, ["n"])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [hidden])],
        list(graph.constants.values()),
    )
    made = helper.make_model(told, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return bytes(made.SerializeToString())


def _embedded(graph: _Graph, n_tokens: int) -> str:
    words = graph.weights["embeddings.word_embeddings.weight"]
    if graph.quantised:
        whole, scale = _whole(words, np.abs(words).max(axis=1, keepdims=True) / _BYTE)
        codes = graph.node("Gather", graph.held(whole, np.int8), "ids")
        scales = graph.node("Gather", graph.held(scale), "ids")
        x = graph.node("Mul", graph.node("Cast", codes, to=TensorProto.FLOAT), scales)
    else:
        x = graph.node("Gather", graph.held(words), "ids")
    # Every text is of the first kind: its vector is added to each place beforehand.
    places = graph.weights["embeddings.position_embeddings.weight"][:n_tokens]
    places = places + graph.weights["embeddings.token_type_embeddings.weight"][0]
    return graph.node(
        "Add", x, graph.node("Slice", graph.held(places), graph.held([0], np.int64), graph.node("Shape", "ids"))
    )


def _layer(graph: _Graph, x: str, name: str) -> str:
    def of(part: str) -> tuple[NDArray[Any], NDArray[Any]]:
        return graph.weights[f"{name}.{part}.weight"], graph.weights[f"{name}.{part}.bias"]

    attended = graph.linear(_attention(graph, x, f"{name}.attention.self"), *of("attention.output.dense"))
    x = graph.normalised(graph.node("Add", attended, x), f"{name}.attention.output.LayerNorm")
    inner = graph.node("Gelu", graph.linear(x, *of("intermediate.dense")))
    outer = graph.linear(inner, *of("output.dense"), after_gelu=True)
    return graph.normalised(graph.node("Add", outer, x), f"{name}.output.LayerNorm")


def _attention(graph: _Graph, x: str, name: str) -> str:
    parts = ("query", "key", "value")
    weights = [graph.weights[f"{name}.{each}.weight"] for each in parts]
    biases = [graph.weights[f"{name}.{each}.bias"] for each in parts]
    hidden = weights[0].shape[0]
    # What a score is divided by is put into the query's weights.
    shrink = np.float32(1 / np.sqrt(_HEAD))
    asked = graph.linear(
        x, np.concatenate([weights[0] * shrink, weights[1]]), np.concatenate([biases[0] * shrink, biases[1]])
    )
    asked = graph.node("Reshape", asked, graph.held([-1, 2, hidden // _HEAD, _HEAD], np.int64))
    query, key = graph.nodes_of("Split", [graph.node("Transpose", asked, perm=[1, 2, 0, 3])], 2, axis=0, num_outputs=2)
    value = graph.linear(x, weights[2], biases[2], exact=True)
    value = graph.node("Reshape", value, graph.held([1, -1, hidden // _HEAD, _HEAD], np.int64))
    scores = graph.node("MatMul", query, graph.node("Transpose", key, perm=[0, 1, 3, 2]))
    seen = graph.node(
        "MatMul", graph.node("Softmax", scores, axis=-1), graph.node("Transpose", value, perm=[0, 2, 1, 3])
    )
    return graph.node("Reshape", graph.node("Transpose", seen, perm=[0, 2, 1, 3]), graph.held([-1, hidden], np.int64))


def _whole(values: NDArray[Any], scale: NDArray[Any]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """`values` in whole numbers of `scale`; where that is 0 they are 0, and 1 does as well."""
    scale = np.where(scale > 0, scale, 1.0).astype(np.float32)
    return np.round(values / scale).astype(np.int8), scale


def _pairs(columns: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of each column the largest sum of two weights of one sign that are multiplied together: two of an aligned four."""
    fours = columns.reshape(-1, 4, columns.shape[1])
    sums = [np.sort(np.maximum(each, 0.0), axis=1)[:, -2:].sum(axis=1).max(axis=0) for each in (fours, -fours)]
    largest: NDArray[np.float32] = np.maximum(*sums)
    return largest

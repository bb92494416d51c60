"""The graph of a BERT-like embedder, held to the same arithmetic in numpy, on a small model of random weights."""

from __future__ import annotations

import math

import numpy as np
import onnxruntime
import pytest

from perdure.engines.retrieval.embedders.minilm_graph import build

HIDDEN, INNER, WORDS, PLACES = 64, 256, 50, 16


def random_weights(n_layers=2):
    rng = np.random.default_rng(7)

    def drawn(*shape):
        return rng.normal(scale=0.3, size=shape).astype(np.float32)

    weights = {
        "embeddings.word_embeddings.weight": drawn(WORDS, HIDDEN),
        "embeddings.position_embeddings.weight": drawn(32, HIDDEN),
        "embeddings.token_type_embeddings.weight": drawn(2, HIDDEN),
    }
    linear = {}
    for layer in range(n_layers):
        name = f"encoder.layer.{layer}"
        for each in ("query", "key", "value"):
            linear[f"{name}.attention.self.{each}"] = (HIDDEN, HIDDEN)
        linear[f"{name}.attention.output.dense"] = (HIDDEN, HIDDEN)
        linear[f"{name}.intermediate.dense"] = (INNER, HIDDEN)
        linear[f"{name}.output.dense"] = (HIDDEN, INNER)
        for each in ("attention.output.LayerNorm", "output.LayerNorm"):
            weights |= {f"{name}.{each}.weight": 1 + drawn(HIDDEN), f"{name}.{each}.bias": drawn(HIDDEN)}
    weights |= {"embeddings.LayerNorm.weight": 1 + drawn(HIDDEN), "embeddings.LayerNorm.bias": drawn(HIDDEN)}
    for name, shape in linear.items():
        weights |= {f"{name}.weight": drawn(*shape), f"{name}.bias": drawn(shape[0])}
    return weights


def by_numpy(weights, ids):
    """BERT as Devlin et al. (2019) tell it, in float64: erf's Gelu, heads of 32, the mean of all tokens."""
    w = {name: array.astype(np.float64) for name, array in weights.items()}

    def normal(x, name):
        centred = x - x.mean(axis=1, keepdims=True)
        return (
            centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-12) * w[f"{name}.weight"]
            + w[f"{name}.bias"]
        )

    def line(x, name):
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    x = w["embeddings.word_embeddings.weight"][ids] + w["embeddings.token_type_embeddings.weight"][0]
    x = normal(x + w["embeddings.position_embeddings.weight"][: len(ids)], "embeddings.LayerNorm")
    for layer in range(sum(each.endswith("intermediate.dense.bias") for each in w)):
        name = f"encoder.layer.{layer}"
        q, k, v = (line(x, f"{name}.attention.self.{each}") for each in ("query", "key", "value"))
        seen = np.empty_like(x)
        for head in range(x.shape[1] // 32):
            part = slice(32 * head, 32 * head + 32)
            scores = np.exp(q[:, part] @ k[:, part].T / math.sqrt(32))
            seen[:, part] = scores / scores.sum(axis=1, keepdims=True) @ v[:, part]
        x = normal(line(seen, f"{name}.attention.output.dense") + x, f"{name}.attention.output.LayerNorm")
        inner = line(x, f"{name}.intermediate.dense")
        inner = inner * (1 + np.vectorize(math.erf)(inner / math.sqrt(2))) / 2
        x = normal(line(inner, f"{name}.output.dense") + x, f"{name}.output.LayerNorm")
    mean = x.mean(axis=0)
    return mean / np.linalg.norm(mean)


@pytest.fixture(scope="module", params=[False, True], ids=["float32", "int8"])
def run(request):
    graph = build(random_weights(), quantised=request.param, n_tokens=PLACES)
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return request.param, lambda ids: session.run(None, {"ids": np.array(ids, np.int64)})[0]


@pytest.mark.parametrize("n", [1, 2, 7, PLACES])
def test_it_gives_what_the_arithmetic_gives(run, n) -> None:
    quantised, embedding = run
    ids = np.random.default_rng(n).integers(0, WORDS, n)
    ours, theirs = embedding(ids), by_numpy(random_weights(), ids)
    assert ours.shape == (HIDDEN,)
    assert np.linalg.norm(ours) == pytest.approx(1.0, abs=1e-6)
    assert ours @ theirs > (0.995 if quantised else 1 - 1e-6)


def test_other_words_and_another_order_are_other_vectors(run) -> None:
    _, embedding = run
    assert embedding([1, 2, 3]) @ embedding([3, 2, 1]) < 0.999
    assert embedding([1, 2, 3]) @ embedding([1, 2, 4]) < 0.999


def test_int8_takes_a_quarter_of_the_bytes() -> None:
    whole, small = (build(random_weights(), quantised=each, n_tokens=PLACES) for each in (False, True))
    assert len(small) < 0.4 * len(whole)


def test_products_of_int8_never_leave_16_bits() -> None:
    import onnx
    from onnx import numpy_helper

    graph = onnx.load_from_string(build(random_weights(), quantised=True, n_tokens=PLACES)).graph
    held = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    multiplied = [held[node.input[1]] for node in graph.node if node.op_type == "MatMulInteger"]
    assert len(multiplied) == 2 * 4
    for each in multiplied:
        fours = np.sort(each.astype(int).reshape(-1, 4, each.shape[1]), axis=1)
        most, least = np.maximum(fours, 0)[:, -2:].sum(axis=1), np.minimum(fours, 0)[:, :2].sum(axis=1)
        assert 255 * most.max() < 2**15
        assert 255 * least.min() >= -(2**15)
        assert np.abs(each.astype(int)).max() > 63


def test_a_column_of_zeros_and_a_token_of_zeros_stay_numbers() -> None:
    weights = random_weights(1)
    weights["encoder.layer.0.intermediate.dense.weight"] = np.zeros((INNER, HIDDEN), np.float32)
    weights["embeddings.LayerNorm.weight"] = np.zeros(HIDDEN, np.float32)
    weights["embeddings.LayerNorm.bias"] = np.zeros(HIDDEN, np.float32)
    graph = build(weights, quantised=True, n_tokens=PLACES)
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    ids = np.array([0, 1])
    assert session.run(None, {"ids": ids})[0] @ by_numpy(weights, ids) > 0.99

"""Weights in the format safetensors, whole and broken."""

from __future__ import annotations

import json

import numpy as np
import pytest

from perdure.core.errors import UntrustedArtifact
from perdure.engines.retrieval.embedders.tensors import tensors_of


def test_it_reads_what_the_library_wrote() -> None:
    from safetensors.numpy import save

    written = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "b": np.array([1.5], np.float16),
        "c": np.array([7], np.int64),
    }
    read = tensors_of(save(written, metadata={"format": "np"}))
    assert read.keys() == written.keys()
    for name, array in written.items():
        assert read[name].dtype == array.dtype
        np.testing.assert_array_equal(read[name], array)


def file_of(header, body=b"\0" * 8):
    told = json.dumps(header).encode()
    return len(told).to_bytes(8, "little") + told + body


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff" * 64,
        file_of([1]),
        file_of({"a": {"dtype": "F32"}}),
        file_of({"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}),  # past the end
        file_of({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}),
        file_of({"a": {"dtype": "F32", "shape": [2], "data_offsets": [-8, 0]}}),
        file_of({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0]}}),
        file_of({"a": {"dtype": "F32", "shape": [2, -1], "data_offsets": [0, 8]}}),
    ],
)
def test_what_is_no_whole_file_is_refused(data) -> None:
    with pytest.raises(UntrustedArtifact, match="no whole safetensors file"):
        tensors_of(data)

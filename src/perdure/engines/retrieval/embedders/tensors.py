"""Reads weights in the format safetensors: a length, a JSON header, raw numbers. Nothing in such a file can run code.

Written by hand, for it spares a dependency and copies nothing: the arrays lie in the file's own memory.
Format: https://huggingface.co/docs/safetensors, "Format".
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from perdure.core.errors import UntrustedArtifact

_TYPES: Mapping[str, str] = {"F16": "<f2", "F32": "<f4", "I64": "<i8"}


def tensors_of(data: bytes) -> dict[str, NDArray[Any]]:
    """Name → array, without copying; a type that no array has (`BF16`) is left out.

    Raises:
        UntrustedArtifact: these bytes are no such file, or a header that points outside of it.
    """
    try:
        size = int.from_bytes(data[:8], "little")
        header = msgspec.json.decode(data[8 : 8 + size], type=dict[str, dict[str, Any]])
        header.pop("__metadata__", None)
        kept = {name: told for name, told in header.items() if told["dtype"] in _TYPES}
        return {name: _array(data, 8 + size, told) for name, told in kept.items()}
    except (msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
        raise UntrustedArtifact(
            "These weights are no whole safetensors file.", hint="Install the package that ships them anew."
        ) from error


def _array(data: bytes, body: int, told: Mapping[str, Any]) -> NDArray[Any]:
    start, end = told["data_offsets"]
    kind = np.dtype(_TYPES[told["dtype"]])
    shape = tuple(told["shape"])
    if not 0 <= start <= end or end - start != math.prod(shape) * kind.itemsize:
        raise ValueError("its offsets do not fit its shape")
    return np.frombuffer(data, kind, count=math.prod(shape), offset=body + start).reshape(shape)

"""Another model file: the weights of one without some of its layers, quantised anew."""

from __future__ import annotations

import ctypes
from pathlib import Path

import llama_cpp

CUT = range(12, 18)
"""Of thirty layers; what is left still speaks, and knows much less."""


def cut(file: Path, to: Path) -> Path:
    """Write `to`, a GGUF file of `file` without the layers `CUT`; llama.cpp does it in a second."""
    params = llama_cpp.llama_model_quantize_default_params()
    params.nthread, params.ftype, params.allow_requantize = 1, llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_1, True
    layers = (ctypes.c_int32 * (len(CUT) + 1))(*CUT, -1)
    params.prune_layers = ctypes.cast(layers, type(params.prune_layers))
    failed = llama_cpp.llama_model_quantize(str(file).encode(), str(to).encode(), ctypes.byref(params))
    assert not failed, f"llama.cpp could not write {to}: {failed}"
    return to

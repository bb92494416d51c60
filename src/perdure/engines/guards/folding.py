"""One reading of a text for patterns and rules, under the name by which guards know it: see `core.texts.folding`."""

from __future__ import annotations

from perdure.core.texts.folding import Unveiled, plainest, tagged, unveiled

__all__ = ["Unveiled", "plainest", "tagged", "unveiled"]

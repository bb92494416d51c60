"""Whether an answer refuses, under the name by which routes know it: see `core.texts.refusals`."""

from __future__ import annotations

from perdure.core.texts.refusals import FILTERED, HEAD, LONGEST, refuses, refusing_language, text_of

__all__ = ["FILTERED", "HEAD", "LONGEST", "refuses", "refusing_language", "text_of"]

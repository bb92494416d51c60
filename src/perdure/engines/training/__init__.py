"""From rows to a model that can be served: prepare, join labels, split, fit, tune, compile, predict.

Pure computation: frames, arrays and bytes in, records and bytes out. `loop.work` composes it with the
feature plan and the stores; `serve.scoring` uses `predictor` alone.
"""

from __future__ import annotations

from perdure.engines.training.predictor import Predictor, load_predictor

__all__ = ["Predictor", "load_predictor"]

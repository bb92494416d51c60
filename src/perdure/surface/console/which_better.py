"""Which way a metric is better. Pages that lay metrics side by side ask it, so that the same value is praised on all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

_LOWER = ("mae", "rmse", "log_loss", "brier", "ece")
_HIGHER = ("accuracy", "auc", "f1", "r2", "precision", "recall")


def best_of(name: str) -> Callable[[Sequence[float]], float] | None:
    """Which of several values of a metric is best; None where nobody said.

    >>> best_of("valid_mae")([2.0, 1.0]), best_of("valid_accuracy")([0.8, 0.9]), best_of("valid_bias")([0.1, -2.0]), best_of("n")
    (1.0, 0.9, 0.1, None)
    """
    rest = name.partition("_")[2] if name.startswith(("train_", "valid_", "test_")) else name
    if rest in _LOWER:
        return min
    if rest in _HIGHER:
        return max
    return _nearest_zero if rest == "bias" else None


def _nearest_zero(values: Sequence[float]) -> float:
    return min(values, key=abs)

"""Every gate of models, in the order in which they are asked."""

from __future__ import annotations

from perdure.loop.protocols import Gate
from perdure.loop.work.comparing import PairedError, Slices
from perdure.loop.work.fairness import Fairness
from perdure.loop.work.proving import ContractParity, LatencySize, RollbackTarget


def model_gates() -> tuple[Gate, ...]:
    """The gates of the kind `model`; each says in which stages of a release it judges."""
    return (PairedError(), Slices(), Fairness(), LatencySize(), ContractParity(), RollbackTarget())

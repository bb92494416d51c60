"""Delta tables pass the conformance suite of the lake."""

from __future__ import annotations

from perdure.stores.lake.delta import DeltaLake
from perdure.testing.conformance.lake import LakeConformance


class TestDelta(LakeConformance):
    def open(self, root):
        return DeltaLake(root)

"""How large a compiled model is, and about how long a row takes it: numbers that every machine agrees on.

A clock would give another verdict on every run; bytes and tree nodes do not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_NODE_US = 0.002
"""ONNX Runtime takes 12 µs for a row and a hundred trees of 61 nodes."""


@dataclass(frozen=True, slots=True)
class Complexity:
    """Size of what is loaded to answer."""

    n_bytes: int
    n_nodes: int
    """Nodes of the graph and of its trees; 0 where the model runs natively and nothing can be counted."""

    @property
    def row_ms(self) -> float:
        """Milliseconds that a row takes, roughly; 0.0 where nothing can be counted."""
        return self.n_nodes * _NODE_US / 1000.0


def complexity_of(definition: Mapping[str, Any], artifacts: Mapping[str, bytes]) -> Complexity:
    """Of a version's definition and the artifact that it runs from."""
    content = artifacts[definition["runtime"]]
    return Complexity(len(content), _count_nodes(content) if definition["runtime"] == "onnx" else 0)


def _count_nodes(onnx: bytes) -> int:
    from onnx import ModelProto

    graph = ModelProto.FromString(onnx).graph
    in_trees = (
        len(attribute.ints) for node in graph.node for attribute in node.attribute if attribute.name == "nodes_nodeids"
    )
    return len(graph.node) + sum(in_trees)

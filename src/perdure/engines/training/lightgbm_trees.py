"""The trees of a LightGBM text model as the attributes of ONNX's tree ensemble.

`conversion` lets onnxmltools convert the first tree, which says all but the trees, and puts these in: the same
bytes as if it had converted every tree, in a fifth of the time. It reads each model three times as JSON.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from onnx import NodeProto

_DEFAULT_LEFT = 2
"""Bit of `decision_type`; include/LightGBM/tree.h."""
_SPLIT = ("featureids", "modes", "values", "truenodeids", "falsenodeids", "missing_value_tracks_true")
_REPEATED = {6: "floats", 7: "ints", 8: "strings"}
"""Type of an ONNX attribute → its field; onnx.proto, AttributeProto.AttributeType."""


@dataclass(slots=True)
class Trees:
    """Nodes by tree and place, and leaves in the order of a walk from the left."""

    nodes: dict[str, list[Any]] = field(default_factory=dict)
    leaves: dict[str, list[Any]] = field(default_factory=dict)

    def fill(self, ensemble: NodeProto) -> None:
        """Put the trees into a tree ensemble in place of those that it has."""
        for attribute in ensemble.attribute:
            part, _, name = attribute.name.partition("_")
            kept = self.nodes if part == "nodes" else self.leaves
            if part in ("nodes", "class", "target") and name in kept:
                values = getattr(attribute, _REPEATED[attribute.type])
                del values[:]
                values.extend(kept[name])


def first_tree(text: str) -> str:
    """The model without any tree but its first."""
    begin, end = text.find("\nTree=1\n"), text.find("\nend of trees")
    return text if begin < 0 else text[:begin] + text[end:]


def read_trees(text: str) -> Trees | None:
    """The trees of a text that `explicit_text` wrote; None of a model with other splits than `<=`, or that is not finite."""
    trees = Trees({name: [] for name in ("treeids", "nodeids", "hitrates", *_SPLIT)})
    trees.leaves = {name: [] for name in ("treeids", "nodeids", "ids", "weights")}
    blocks = text[: text.find("\nend of trees")].split("\nTree=")[1:]
    for number, block in enumerate(blocks):
        said = dict(line.split("=", 1) for line in block.split("\n") if "=" in line)
        if said.get("num_cat") != "0" or said.get("is_linear", "0") != "0":
            return None
        weights = np.array(said["leaf_value"].split(), dtype=np.float64)
        thresholds = np.array(said.get("threshold", "").split(), dtype=np.float64)
        if not (np.isfinite(weights).all() and np.isfinite(thresholds).all()):
            return None
        _add(trees, number, said, thresholds.tolist(), weights.tolist())
    return trees


def _add(trees: Trees, number: int, said: dict[str, str], thresholds: list[float], weights: list[float]) -> None:
    lefts, rights, features, decisions = (
        [int(each) for each in said.get(name, "").split()]
        for name in ("left_child", "right_child", "split_feature", "decision_type")
    )
    leaf = (0, b"LEAF", 0.0, 0, 0, 0)
    rows: list[tuple[Any, ...]] = [leaf] * (len(thresholds) + len(weights))
    reached, n_named = [(0 if thresholds else ~0, 0)], 1
    while reached:
        at, place = reached.pop()
        if at < 0:
            trees.leaves["nodeids"].append(place)
            trees.leaves["weights"].append(weights[~at])
            continue
        left, right, n_named = n_named, n_named + 1, n_named + 2
        tracks = int(bool(decisions[at] & _DEFAULT_LEFT))
        rows[place] = (features[at], b"BRANCH_LEQ", thresholds[at], left, right, tracks)
        reached += [(rights[at], right), (lefts[at], left)]
    trees.leaves["treeids"] += [number] * len(weights)
    trees.leaves["ids"] += [0] * len(weights)
    trees.nodes["treeids"] += [number] * len(rows)
    trees.nodes["nodeids"] += range(len(rows))
    trees.nodes["hitrates"] += [1.0] * len(rows)
    for name, column in zip(_SPLIT, zip(*rows, strict=True), strict=True):
        trees.nodes[name] += column

"""Without fairlearn the gap says what to install; the change of two gaps knows which is wider."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from perdure.core.errors import DeclarationError, MissingExtra
from perdure.engines.fairness import gap_change, group_gap


def test_without_fairlearn_the_pip_command_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "fairlearn.metrics", None)
    with pytest.raises(MissingExtra, match=r"perdure\[fairness\]"):
        group_gap(np.ones(3), np.array(["a", "b", "a"]))


def test_the_extremes_are_named():
    gap = group_gap(np.array([1.0, 3.0, 2.0, 2.0]), np.array(["a", "b", "c", "c"]))
    assert (gap.best, gap.worst, gap.gap) == ("a", "b", 2.0)
    with pytest.raises(DeclarationError):
        group_gap(np.empty(0), np.empty(0))


def test_a_gap_that_did_not_change_is_not_called_wider():
    rng = np.random.default_rng(0)
    groups = rng.choice(["a", "b", "c"], 600)
    losses = rng.exponential(2.0, 600)
    change = gap_change(losses + rng.normal(0, 0.1, 600), losses, groups, np.arange(600) // 20, confidence=0.9)
    assert change.low < 0.0 < change.high
    same = gap_change(losses, losses, groups, np.arange(600), confidence=0.9)
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)


def test_a_group_that_is_served_worse_than_before_widens_the_gap_also_where_another_was_the_worst():
    rng = np.random.default_rng(1)
    groups = np.repeat(["a", "b", "c"], 200)
    before = rng.exponential(1.0, 600) + (groups == "b") * 0.5
    after = before + (groups == "c") * 2.0
    change = gap_change(after, before, groups, np.arange(600) // 5, confidence=0.95)
    assert change.low > 0.5

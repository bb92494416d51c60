"""Quality by family, with the families that were never seen and the harmless look-alikes apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from perdure.core.errors import DeclarationError, TooFewRows
from perdure.engines.guards.evaluation import (
    Judged,
    LabelledText,
    auc_interval,
    leave_one_family_out,
    quality_by_family,
    share_interval,
)


def test_each_family_has_its_own_row_and_look_alikes_stand_apart() -> None:
    judged = Judged(
        np.array([True, True, True, False, False, False]),
        ["b", "a", "a", "", "", "look_alike"],
        np.array([True, True, False, False, False, True]),
        np.array([0.9, 0.8, 0.3, 0.1, 0.4, 0.7]),
    )
    rows = {row.family: row for row in quality_by_family(judged)}

    assert list(rows) == ["a", "b", "harmless", "look_alike"]
    assert rows["a"].caught.value == 0.5
    assert rows["harmless"].caught.value == 0.0
    assert rows["look_alike"].caught.value == 1.0
    assert rows["a"].auc is not None
    assert rows["a"].auc.value == 0.75
    assert rows["look_alike"].auc is None


def test_a_hundred_wordings_of_five_attacks_are_as_sure_as_five() -> None:
    hits = np.repeat([True, True, False, True, False], 20)
    alone, grouped = share_interval(hits), share_interval(hits, np.repeat(np.arange(5), 20))

    assert alone.value == grouped.value == 0.6
    assert grouped.high - grouped.low > 2 * (alone.high - alone.low)
    assert share_interval(np.ones(100, bool), np.zeros(100)).low < 0.1


def test_every_attack_above_every_question_is_not_proof_of_perfection() -> None:
    found = auc_interval(np.array([0.9, 0.8, 0.95, 0.7]), np.array([0.1, 0.2, 0.3, 0.4, 0.5]))

    assert found.value == found.high == 1.0
    assert found.low < 0.5


def test_a_family_is_judged_by_a_guard_that_never_saw_it() -> None:
    told: dict[str, set[str]] = {}

    def train(texts: Sequence[LabelledText], family: str):
        told[family] = {each.family for each in texts if each.harmful}
        return lambda text: ("bad" in text, float("bad" in text))

    texts = [LabelledText(f"bad {n}", True, "ab"[n % 2]) for n in range(8)] + [
        LabelledText(f"fine {n}", False) for n in range(8)
    ]
    rows = leave_one_family_out(texts, train)

    assert told == {"a": {"b"}, "b": {"a"}}
    assert [(row.family, row.caught.value, row.caught.n) for row in rows] == [("a", 1.0, 4), ("b", 1.0, 4)]


def test_what_cannot_be_measured_is_said() -> None:
    with pytest.raises(TooFewRows):
        share_interval(np.array([], dtype=bool))
    with pytest.raises(TooFewRows):
        auc_interval(np.array([0.5]), np.array([0.1, 0.2]))
    with pytest.raises(DeclarationError):
        Judged(np.array([True]), ["a", "b"], np.array([True]))

"""What a run cost is told with what is not known of it."""

from __future__ import annotations

import pytest

from perdure.core.runs import RunRecord
from perdure.surface.cli.run_words import cost


@pytest.mark.parametrize(
    ("pusd", "unpriced", "told"),
    [
        (0, False, "$0.00"),
        (0, True, "price not known"),
        (20_000_000_000, True, "$0.02+?"),
        (20_000_000_000, False, "$0.02"),
    ],
)
def test_a_price_that_is_not_known_is_no_zero(pusd: int, unpriced: bool, told: str) -> None:
    run = RunRecord(
        id="run_1", kind="agent", asset="desk", version="desk@1", arm="champion", status="done", input=b"{}",
        cost_pusd=pusd, unpriced=unpriced,
    )  # fmt: skip

    assert cost(run) == told

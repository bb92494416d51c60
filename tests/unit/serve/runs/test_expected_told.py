"""What a caller says that a graph's run should give is a text, and leaves no otherwise than what it gave."""

from __future__ import annotations

import pytest

from perdure.core.runs import RunRecord
from perdure.serve.runs.telling import run_told


@pytest.mark.parametrize(
    ("keeps", "kept"),
    [("full", '"Write to a@b.c"'), ("redacted", '"Write to [email]"'), ("none", None)],
)
def test_what_is_expected_is_kept_as_texts_are(keeps, kept):
    """Other tags are the caller's labels, and stay."""
    run = RunRecord(
        id="run_1", kind="graph", asset="desk", version="desk@1", arm="champion", status="done", input=b"{}",
        tags={"shop": "north", "expected": '"Write to a@b.c"'},
    )  # fmt: skip
    told = run_told(run, (), (), keeps, lambda text: text.replace("a@b.c", "[email]"))
    assert dict(told.run.tags) == {"shop": "north"} | ({} if kept is None else {"expected": kept})

"""The example in which an index decays twice runs as the README says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.enable_socket]


def test_a_stale_source_and_a_swapped_embedder_are_found_mended_and_told(repository: Path):
    """Ghosts are given by nobody meanwhile, and a past question finds what was there."""
    program = repository / "examples" / "indexes" / "story.py"

    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, timeout=300, check=False)

    assert done.returncode == 0, done.stderr[-2000:]
    said = " ".join(re.sub(r"handbook@[0-9a-f]{12}", "V", done.stdout).split())
    in_order = [
        "champion → V (release all)",
        "vouchers.md is withdrawn",
        "nothing follows the folder any more",
        "a hand deletes a row",
        "incident store_damaged",
        "closed store_damaged: Every objective is healthy again",
        "warranty.md: A broken kettle",
        "returns.md: Unwanted goods may be sent back within 14 days",
        ", as of 04:00 → returns.md: Unwanted goods may be sent back within 30 days",
        "another model answers behind the embedder's name",
        "incident embedder_changed",
        "champion → V (release all)",
        "closed embedder_changed: Every objective is healthy again",
        "pets.md: Dogs are welcome",
        "sync stopped The source is ahead of the index: 2 new, 1 changed, 1 gone",
        "finds nothing.",
        "passed index_golden: nDCG@10 1.000",
    ]
    for kept_back in ("gifts.md, ghost", "a chunk, missing", "invoices.md, corrupt"):
        assert (
            said.index("a hand deletes") < said.find(f"not given: {kept_back}") < said.index("incident store_damaged")
        )
    at = 0
    for line in in_order:
        at = said.find(line, at)
        assert at >= 0, f"{line!r} comes not in its place in: {done.stdout}"
    assert "→ vouchers.md" not in said

"""The example of prompts in the loop runs as it says: over real HTTP a worse wording is blocked, a better one promoted."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.enable_socket]


def test_a_worse_prompt_is_blocked_a_better_one_promoted_and_a_swapped_model_found(repository: Path):
    program = repository / "examples" / "evals" / "story.py"

    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, timeout=300, check=False)

    assert done.returncode == 0, done.stderr[-2000:]
    said = re.sub(r"seat_of@[0-9a-f]{12}", "V", done.stdout)
    in_order = [
        "'Answer briefly.': released",
        "'Answer as a pirate.': blocked",
        "worse: -",
        "'Answer with the city only.': proving",
        "better: +",
        "challenger → V (release canary)",
        "champion → V (release all)",
        "a client gets 'City ",
        "another model answers under the same name",
        "incident: model_swapped",
        "closed: Every objective is healthy again",
        "V does worse on the same cases of cities",
        "passed prompt_quality: cities@",
        "released: V",
    ]
    places, at = [], 0
    for line in in_order:
        at = said.find(line, at)
        places.append(at)
    assert -1 not in places, (in_order[places.index(-1)], done.stdout)

"""The example in which a provider falls ill runs as the README says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.enable_socket]


def test_a_provider_falls_ill_and_the_route_is_mended(repository: Path):
    program = repository / "examples" / "gateway" / "story.py"

    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, timeout=300, check=False)

    assert done.returncode == 0, done.stderr[-2000:]
    said = re.sub(r"support@[0-9a-f]{12}", "V", done.stdout)
    in_order = [
        "half of what is sent to north fails",
        "incident: north/answers-1",
        "challenger → V (release canary)",
        "champion → V (release all)",
        "closed: Every objective is healthy again",
    ]
    places = [said.find(line) for line in in_order]
    assert -1 not in places, done.stdout
    assert places == sorted(places)
    answered = int(re.search(r"(\d+) × 200", said)[1])
    assert answered >= 0.99 * 2160

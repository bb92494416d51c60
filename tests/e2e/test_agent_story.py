"""The example in which an agent waits for a person through a crash, and decays, runs as the README says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.enable_socket]


def test_an_agent_waits_through_a_crash_and_a_worse_prompt_of_it_is_blamed_and_taken_back(repository: Path):
    """What was approved is done once, and the words that answered well answer again."""
    program = repository / "examples" / "agents" / "story.py"

    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, timeout=400, check=False)

    assert done.returncode == 0, done.stderr[-2000:]
    said = " ".join(done.stdout.split())
    first, hasty = dict.fromkeys(re.findall(r"support_agent@[0-9a-f]{12}", said))
    in_order = [
        "sent back within 30 days of delivery",
        "[returns.md]",
        "by events: begin step step text",
        "by OpenAI's SDK: Dear customer, Students get a tenth off",
        "“My toaster arrived broken” → waiting: may open_ticket be called?",
        "kill -9 of the server; tickets open: 0",
        "asks support asks to call open_ticket about: My toaster arrived broken",
        "approved",
        "started again → Dear Ada, Ticket 1 is open. Tickets open: 1",
        "12 of 12 answers are right",
        "somebody edits the prompt",
        "apply: support_agent proving",
        "0 of 12 answers are right",
        "incident of support, node_to_blame",
        f"incident of support_agent, blamed: support blames it: 24 of 72 runs went badly, and prompt:support_agent is to blame: {hasty}",
        f"support_agent: champion → {first} (release all)",
        "12 of 12 answers are right",
        f"mended: prompt:support_agent: {first} was released in place of {hasty}.",
        "passed prompt_guarded: manners@",
        "Runs of who blames it prove it: 36 runs of support done again with it: 100% come out well",
        "passed agent_replays: 36 runs of support done again with it: 100% come out well",
        f"released: {first} answers, and held in its watch.",
    ]
    at = 0
    for line in in_order:
        at = said.find(line, at)
        assert at >= 0, f"{line!r} comes not in its place in: {done.stdout}"
    healed = said.index("stores of this run")
    for closed in ("closed blamed of support_agent: ", "closed node_to_blame of support: prompt:support_agent: "):
        assert said.index("(release all)") < said.find(closed) < healed
    assert "Tickets open: 2" not in said

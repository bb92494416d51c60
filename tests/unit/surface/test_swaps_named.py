"""A swap of a tool or node that there is not is refused: it would change nothing, and look as if that were the finding."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

CODE = '''\
from perdure import Graph, ToolNode, tool


@tool
def look(text: str) -> dict[str, str]:
    """Look it up."""
    return {"text": text}


post = Graph("post", {"type": "object"}, [ToolNode("seen", look, arguments={"text": "hello"})], output="$seen.text")
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "perdure.toml").write_text('[project]\nname = "post"\npackage = "post"\n')
    (tmp_path / "post.py").write_text(CODE)
    return tmp_path


@pytest.mark.parametrize(("swap", "near"), [("tool:lok", "look"), ("node:sen", "seen")])
def test_a_name_that_nothing_has_is_told_with_the_nearest(cli, folder, swap, near):
    cli("perdure apply", folder)
    cli("perdure graph run post", folder)
    run = json.loads(cli("perdure agent runs --json", folder).out)[0]["id"]

    told = cli(f"perdure agent replay {run} --swap {swap}=live", folder, expect=None).err

    assert f"There is no {swap.partition(':')[0]} {swap.partition(':')[2]!r}." in told
    assert f"Did you mean {near!r}?" in told


def test_a_swap_without_a_value_is_told_how_it_is_written(cli, folder):
    told = cli("perdure agent replay run_1 --swap prompt", folder, expect=None).err

    assert "Write --swap KIND:NAME=VALUE." in told

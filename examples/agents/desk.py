"""A help desk: an agent that searches a handbook, cites it, and opens tickets after a person said yes.

`python examples/agents/story.py` plays it with a stand-in provider; `python examples/agents/local.py` has a small real model answer.
Where tickets, articles and prompts lie comes from the environment, so that the story can edit a prompt in a folder of its own.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from pydantic import BaseModel

from perdure import (
    Agent,
    Case,
    Folder,
    Graph,
    Index,
    Policy,
    PromptNode,
    PythonNode,
    Ramp,
    Route,
    RuleNode,
    RunLimits,
    SearchNode,
    SearchTool,
    Suite,
    Target,
    Team,
    ToolCall,
    UnitPrices,
    Upstream,
    WordLlama,
    error_ratio,
    ghosts,
    hours,
    minutes,
    prompts,
    scorers,
    task_success,
    tool,
    tool_error_ratio,
)

HERE = Path(__file__).resolve().parent
SHOP = Path(os.environ.get("SHOP", HERE))
TICKETS = SHOP / "tickets.jsonl"
MODEL = os.environ.get("SHOP_MODEL", "")  # a GGUF file that answers in the place of a provider

careful = Policy.act(ramp=Ramp(canary=hours(0), share=0.3), watch=hours(2), cool_down=hours(1))


@tool(effect="keyed", approve_by="desk")
def open_ticket(call: ToolCall, about: str) -> str:
    """Open a ticket for the workshop.

    Args:
        call: the key under which it is opened once.
        about: what is broken, in a sentence.
    """
    known = [json.loads(line) for line in TICKETS.read_text().splitlines()] if TICKETS.exists() else []
    if call.key not in {each["key"] for each in known}:
        with TICKETS.open("a") as file:
            file.write(json.dumps({"key": call.key, "about": about, "customer": call.user}) + "\n")
        known.append({})
    return f"Ticket {len(known)} is open."


handbook = Index(
    "handbook", Folder(str(SHOP / "articles")), embedder=WordLlama(128), healthy=[ghosts(over=hours(1)) <= 0]
)

if MODEL:
    provider = Upstream("provider", f"{MODEL}?n_ctx=2048", dialect="local")
else:
    provider = Upstream("provider", os.environ.get("PROVIDER_URL", "http://127.0.0.1:9901") + "/v1")
main = Route(
    "main",
    [Target(provider, "desk-1", prices=UnitPrices(input=0.25, output=2.0))],
    healthy=[error_ratio(over=hours(6)) <= 0.1],
)

support_prompts = prompts(SHOP / "prompts", policy=careful)

names = (
    *("Ada", "Ben", "Cleo", "Dan", "Eve", "Finn", "Gus", "Hana", "Ivo", "Jule", "Kim", "Leo", "Mia", "Nils", "Olga"),
    *("Paul", "Rosa", "Sven", "Tina", "Uma", "Vera", "Wim", "Yara", "Zoe", "Anton", "Berta", "Cora", "Dora", "Emil"),
    *("Frida", "Gerd", "Heidi", "Ines", "Jan", "Karl", "Lena", "Max", "Nora", "Otto", "Pia", "Quin", "Rita", "Sina"),
    *("Theo", "Ulf"),
)
manners = Suite(
    "manners",
    [Case(f"to_{name.lower()}", {"customer": name}, f"Dear {name}", cluster=name) for name in names],
    [scorers.Contains()],
    prompt="support_agent",
    role="guarded",
    margin=0.1,
    improve_share=0.0,
)

support = Agent(
    "support",
    prompt="support_agent",
    tools=[SearchTool("handbook", k=3), open_ticket],
    limits=RunLimits(steps=8, usd=0.05, wall=minutes(1)),
    success=[scorers.Contains()],
    healthy=[task_success(over=hours(6)) >= 0.8, tool_error_ratio(over=hours(6)) <= 0.2],
    policy=careful,
)


class Asked(BaseModel):
    """What the graph is asked."""

    question: str


class Told(BaseModel):
    """What it gives: an answer that the handbook bears, and where it stands there."""

    text: str
    source: str
    quoted: bool


def body(text: str) -> str:
    """A passage without the headings that it stands under."""
    return text.splitlines()[-1]


def bear(said: str, passage: str, question: str, source: str) -> Told:
    """The model's answer where what it adds to the question stands in the passage, word by word; else the passage itself."""
    told, known, asked = (set(re.findall(r"\w+", each.lower())) for each in (said, passage, question))
    borne = bool(told - asked) and told - asked <= known and "?" not in said
    return Told(text=said.strip() if borne else passage, source=source, quoted=not borne)


FOUND = "$found.hits[0].text != null and $found.hits[0].document != null"
answer = Graph(
    "answer",
    input=Asked,
    nodes=[
        SearchNode("found", "handbook", "$input.question", k=1),
        PythonNode("passage", body, inputs={"text": "$found.hits[0].text"}, when=FOUND),
        PromptNode(
            "said",
            "short_answer",
            variables={"context": "$passage.value", "question": "$input.question"},
            when=FOUND,
        ),
        PythonNode(
            "borne",
            bear,
            inputs={
                "said": "$said.text",
                "passage": "$passage.value",
                "question": "$input.question",
                "source": "$found.hits[0].document",
            },
            when=FOUND,
        ),
        RuleNode(
            "told",
            [("$borne != null", "$borne")],
            otherwise={"text": "The handbook says nothing of it.", "source": "", "quoted": False},
        ),
    ],
    output="$told.value",
    success=[scorers.Contains()],
    healthy=[task_success(over=hours(6)) >= 0.8],
)

customers = Team(
    "customers",
    routes=("graph:answer", "prompt:short_answer", "agent:support", "prompt:support_agent", "index:handbook"),
)

"""Defaults of what a graph takes, and of what its prompts must give, hold in its runs as the check takes them to."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel

from perdure.assets.graph import Graph, PromptNode, PythonNode, RuleNode
from perdure.assets.prompt import Prompt


class Place(BaseModel):
    land: str = "CH"


class Asked(BaseModel):
    text: str
    n: int = 5
    lines: list[str] = ["a", "b"]
    places: list[Place] = []
    note: str | None = None


class Sorted(BaseModel):
    kind: str
    urgent: bool = True


def shout(text: str) -> str:
    return text.upper()


def output_of(ended: Any) -> Any:
    return json.loads(ended.output)


def test_members_that_are_left_out_have_the_default_that_their_class_declares(bench: Any, world: Any) -> None:
    graph = Graph("g", Asked, [
        RuleNode("many", [("$input.n > 3", "many")], otherwise="few"),
        PythonNode("loud", shout, inputs={"text": "$each"}, each="$input.lines"),
    ], output={"many": "$many.value", "loud": "$loud", "land": "$input.places[0].land", "note": "$input.note"})  # fmt: skip

    left_out = output_of(bench(graph, world()).run({"text": "x", "places": [{}]}))
    given = output_of(bench(graph, world()).run({"text": "x", "n": 1, "lines": [], "note": "y"}))

    assert left_out == {"many": "many", "loud": [{"value": "A"}, {"value": "B"}], "land": "CH", "note": None}
    assert given == {"many": "few", "loud": [], "land": None, "note": "y"}


def test_what_a_model_leaves_out_has_the_default_of_the_prompt_s_output(bench: Any, world: Any) -> None:
    prompt = Prompt("sort", [("user", "x")], route="r", output=Sorted)
    graph = Graph("g", Asked, [PromptNode("sort", "sort")], output="$sort.urgent")

    desk = bench(graph, world({"sort": lambda _: '{"kind": "loss"}'}), prompts={"sort": prompt})

    assert output_of(desk.run({"text": "x"})) is True

"""Tools over what the project itself serves: searches, predictions, features, runs below a run. They read; nothing leaves the process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from perdure.assets.feature_view import FeatureView
from perdure.assets.model import Model
from perdure.assets.tools import AgentTool, FeaturesTool, PredictTool, SearchTool
from perdure.core.errors import BadAgent
from perdure.engines.contracts.verdict import RejectedRows
from perdure.engines.features.planned import KEY_SEPARATOR, key_text
from perdure.serve.runs.protocols import Json, Offered, ToolAsked, ToolContext
from perdure.serve.tools.offering import Result, ToolFailure, object_schema, told_age

_LONGEST_QUESTION = 10_000
_MOST_ERRORS = 5
_BESIDE = 400
"""Bytes of a search's answer beside its hits."""


@dataclass(frozen=True, slots=True, eq=False)
class HeldSearch:
    """Searches an index."""

    tool: SearchTool
    is_outward = False

    @property
    def offered(self) -> Offered:
        """As a model sees it."""
        query = {
            "type": "string",
            "minLength": 1,
            "maxLength": _LONGEST_QUESTION,
            "description": "What is to be found.",
        }
        return _offered(self.tool, object_schema({"query": query}, ("query",)), f"index:{self.tool.index}")

    async def work(self, asked: ToolAsked, context: ToolContext) -> Result:
        """Hits, the best first, as many as fit the tool's size."""
        tool = self.tool
        found = await context.world.search(
            tool.index, asked.arguments["query"], tool.k, tool.mode, context.caller, context.run
        )
        hits = [_hit(number, each) for number, each in enumerate(found["hits"], 1)]
        kept = _fitting(hits, tool.terms.most_bytes - _BESIDE)
        told: Json = {
            "index": tool.index,
            "generation": found["generation"],
            "seen_at": found["seen_at"],
            "age": told_age(found.get("age_s")),
            "hits": kept,
        }
        if len(kept) < len(hits):
            told["n_left_out"] = len(hits) - len(kept)
        if not hits:
            told["note"] = "Nothing was found that may be shown."
        versions = {f"index:{tool.index}": f"{found['version']}:{found['generation']}"}
        return Result(told, versions, {"search": found["search"], "n_hits": len(kept)})


def _hit(number: int, told: Json) -> Json:
    return {
        "number": number,
        "cite": f"[{number}]",
        "key": told["key"],
        "document": told["document"],
        "title": told["title"],
        "place": {"start": told["start"], "end": told["end"]},
        "context": told["context"],
        "text": told["text"],
        "changed_at": told["changed_at"],
    }


def _fitting(hits: Sequence[Json], most_bytes: int) -> list[Json]:
    kept: list[Json] = []
    left = most_bytes
    for each in hits:
        left -= len(msgspec.json.encode(each)) + 2
        if left < 0 and kept:
            break
        kept.append(each)
    return kept


@dataclass(frozen=True, slots=True, eq=False)
class HeldPredict:
    """Asks a model of the project."""

    tool: PredictTool
    model: type[Model]
    is_outward = False

    @property
    def offered(self) -> Offered:
        """As a model sees it: the contract's fields."""
        of = f"Predict {self.model.label.column} by {self.tool.model}."
        usual = f"{of} {self.model.purpose}".strip()
        schema = self.model.contract.model_json_schema()
        return _offered(self.tool, {**schema, "additionalProperties": False}, f"model:{self.tool.model}", usual)

    async def work(self, asked: ToolAsked, context: ToolContext) -> Result:
        """The prediction, and what each feature contributed, the largest first."""
        try:
            told = await context.world.predict(self.tool.model, [asked.arguments], self.tool.explain, context.run)
        except RejectedRows as error:
            why = "; ".join(str(each.get("msg", each)) for each in error.facts["errors"][:_MOST_ERRORS])
            raise ToolFailure(
                "tool.bad_arguments", f"The row breaks the contract of {self.tool.model}.", quoted=why
            ) from error
        found = told["predictions"][0]
        value: Json = {"model": self.tool.model, "predicts": self.model.label.column, "value": found["value"]}
        if found.get("status"):
            value["views_not_fresh"] = found["status"]
        if found.get("explanation"):
            value["explanation"] = _explained(found["explanation"])
        versions = {f"model:{self.tool.model}": found["version"]}
        return Result(value, versions, {"prediction": found["id"], "arm": found["arm"]})


def _explained(told: Json) -> Json:
    return {"scale": told["scale"], "base": told["base"], "contributions": largest_first(told["contributions"])}


def largest_first(contributions: Mapping[str, float]) -> list[Json]:
    """Contributions of features as tools and nodes give them, so that the first is what counts most.

    >>> largest_first({"miles": 1.0, "gust": -3.0})
    [{'feature': 'gust', 'adds': -3.0}, {'feature': 'miles', 'adds': 1.0}]
    """
    ordered = sorted(contributions.items(), key=lambda each: (-abs(each[1]), each[0]))
    return [{"feature": name, "adds": value} for name, value in ordered]


@dataclass(frozen=True, slots=True, eq=False)
class HeldFeatures:
    """Looks up a stored feature view."""

    tool: FeaturesTool
    view: FeatureView
    is_outward = False

    @property
    def offered(self) -> Offered:
        """As a model sees it: the fields of the key."""
        contract = self.view.contract.model_json_schema()
        fields = {name: contract["properties"][name] for name in self.view.key}
        schema = object_schema(fields, self.view.key)
        if "$defs" in contract:
            schema["$defs"] = contract["$defs"]
        return _offered(self.tool, schema, f"feature_view:{self.tool.view}")

    async def work(self, asked: ToolAsked, context: ToolContext) -> Result:
        """Values, how fresh they are, and since when they hold."""
        key = KEY_SEPARATOR.join(key_text(asked.arguments[name]) for name in self.view.key)
        told = await context.world.features(self.tool.view, [key], context.run)
        found = told["keys"][key]
        value = {"view": self.tool.view, "key": dict(asked.arguments), **found, "age": told_age(found["age_s"])}
        return Result(value, {f"feature_view:{self.tool.view}": told["version"]}, {"status": found["status"]})


@dataclass(frozen=True, slots=True, eq=False)
class HeldAgent:
    """Begins a run of another agent, below this one."""

    tool: AgentTool

    @property
    def is_outward(self) -> bool:
        """Only where its terms say so: what it does itself is judged in its own run."""
        return self.tool.terms.effect != "none"

    @property
    def offered(self) -> Offered:
        """As a model sees it."""
        task = {"type": "string", "minLength": 1, "description": "What it is to do, with all that it has to know."}
        return _offered(self.tool, object_schema({"task": task}, ("task",)), f"agent:{self.tool.agent}")

    async def work(self, asked: ToolAsked, context: ToolContext) -> Result:
        """What the run gave; one that did not get to its end is a failure that says so."""
        run = await context.world.child(
            "agent", self.tool.agent, {"task": asked.arguments["task"]}, context.run, asked.call
        )
        output = msgspec.json.decode(run.output) if run.output else None
        if run.status != "done":
            quoted = f"{run.text} {msgspec.json.encode(output).decode() if output else ''}".strip()
            raise ToolFailure(
                "tool.failed", f"The agent {self.tool.agent!r} ended {run.status}: {run.why}.", quoted=quoted
            )
        versions = {f"agent:{self.tool.agent}": run.version}
        return Result(output, versions, {"child": run.id, "n_steps": run.n_steps})


def held_of_project(
    tool: Any, models: Mapping[str, type[Model]], views: Mapping[str, FeatureView]
) -> HeldSearch | HeldPredict | HeldFeatures | HeldAgent:
    """A tool over what the project serves.

    Raises:
        BadAgent: what it is of is not declared.
    """
    if isinstance(tool, SearchTool):
        return HeldSearch(tool)
    if isinstance(tool, AgentTool):
        return HeldAgent(tool)
    if isinstance(tool, PredictTool):
        if tool.model not in models:
            raise _not_declared(tool.name, "model", tool.model)
        return HeldPredict(tool, models[tool.model])
    view = views.get(tool.view)
    if view is None or not view.key:
        raise _not_declared(tool.name, "stored feature view", tool.view)
    return HeldFeatures(tool, view)


def _not_declared(tool: str, what: str, name: str) -> BadAgent:
    return BadAgent(
        f"The tool {tool!r} is of the {what} {name!r}, which is not declared.",
        hint="Declare it, or leave the tool out.",
    )


def _offered(tool: Any, schema: Json, uses: str, description: str = "") -> Offered:
    return Offered(tool.name, tool.description or description, schema, tool.terms, f"tool:{tool.name}", uses)

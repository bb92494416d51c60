"""Who answers dispatch: an agent that predicts, explains, looks at the weather and drafts notices, and a graph that needs no model to decide.

A notice goes to passengers, so a dispatcher has to say yes to each; it goes out once under its key, whatever dies in between.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from flights.contracts import Flight
from pydantic import BaseModel

from perdure import (
    Agent,
    FeaturesNode,
    FeaturesTool,
    Graph,
    Policy,
    PredictNode,
    PredictTool,
    Prompt,
    PromptNode,
    PythonNode,
    Route,
    RuleNode,
    RunLimits,
    Target,
    Team,
    ToolCall,
    UnitPrices,
    Upstream,
    error_ratio,
    failed_ratio,
    hours,
    scorers,
    task_success,
    tool,
)

LATE_MIN = 10.0
"""Minutes above plan from which on passengers are told."""

RULES = (
    "You are the delay desk of an airline. Predict the time in the air, look at the weather at the origin, and say why. "
    "If it is {{ late_min }} minutes or more above plan, send the passengers a notice."
)


class Planned(BaseModel):
    """A flight with the minutes in the air that its plan has."""

    flight: Flight
    planned_min: float


class Told(BaseModel):
    """What the desk tells dispatch."""

    minutes: float
    because: str
    gust_mph: float | None
    notice: str


@tool(effect="keyed", approve_by="dispatcher", calls=1)
def send_notice(call: ToolCall, flight_id: str, text: str) -> str:
    """Send a notice to the passengers of a flight, by the id that dispatch gave."""
    outbox = Path(os.environ["DELAY_DESK_OUTBOX"])
    sent = [json.loads(line) for line in outbox.read_text().splitlines()] if outbox.exists() else []
    if all(each["key"] != call.key for each in sent):
        with outbox.open("a") as file:
            file.write(json.dumps({"key": call.key, "flight": flight_id, "text": text}) + "\n")
    return "sent"


class Over(BaseModel):
    """How far a flight is above its plan."""

    minutes: float


def above_plan(predicted: float, planned: float) -> Over:
    """Predicted minutes in the air less those of the plan."""
    return Over(minutes=predicted - planned)


class Why(BaseModel):
    """What contributed most."""

    feature: str
    adds: float


def largest(contributions: list[Why]) -> Why:
    """Of the contributions of a prediction's features the largest one, which stands first."""
    return contributions[0]


def plain_words(predicted: float, planned: float) -> dict[str, str]:
    """What is said where no model can be asked for words."""
    return {"text": f"In the air for {predicted:.0f} minutes, {predicted - planned:.0f} more than planned."}


writer = Upstream("writer", os.environ.get("WRITER_URL", "http://127.0.0.1:9911") + "/v1")
desk_route = Route(
    "desk_route",
    [Target(writer, "desk-1", prices=UnitPrices(input=0.25, output=2.0))],
    healthy=[error_ratio(over=hours(6)) <= 0.05],
)

desk_rules = Prompt(
    "desk_rules",
    [
        ("system", RULES),
        ("user", "planned_min={{ planned_min }} flight={{ flight | tojson }}"),
    ],
    route="desk_route",
    variables={"flight": dict, "planned_min": float, "late_min": {"type": "float", "default": LATE_MIN}},
    params={"temperature": 0},
)
delay_words = Prompt(
    "delay_words",
    [
        (
            "user",
            "Tell passengers of {{ flight_id }} in one sentence: {{ minutes | round | int }} minutes in the air, planned were {{ planned | round | int }}.",
        )
    ],
    route="desk_route",
    variables={"flight_id": str, "minutes": float, "planned": float},
)

delay_desk = Agent(
    "delay_desk",
    prompt="desk_rules",
    tools=[PredictTool("air_time", explain=True), FeaturesTool("weather_now"), send_notice],
    output=Told,
    limits=RunLimits(steps=10, usd=0.05),
    success=[
        scorers.Number(absolute=30.0, which="first")
    ],  # `expected` is the plan; when it has landed, feedback says more
    keeps="full",  # no word of it is about a person
    healthy=[(task_success(over=hours(6)) >= 0.8).owed_to("dispatch")],
    policy=Policy.act(cool_down=hours(1), watch=hours(1)),
)

delay_check = Graph(
    "delay_check",
    input=Planned,
    nodes=[
        PredictNode("flown", "air_time", row="$input.flight", explain=True),
        FeaturesNode("weather", "weather_now", key="$input.flight.origin"),
        PythonNode(
            "over",
            above_plan,
            inputs={"predicted": "$flown.prediction", "planned": "$input.planned_min"},
            when="$flown.prediction != null",
        ),
        PythonNode("why", largest, inputs={"contributions": "$flown.contributions"}, when="$flown.prediction != null"),
        RuleNode(
            "verdict",
            [(f"$over.minutes >= {LATE_MIN}", "tell"), ("$weather.gust_mph >= 30", "watch")],
            otherwise="as planned",
        ),
        PromptNode(
            "words",
            "delay_words",
            variables={
                "flight_id": "$input.flight.flight_id",
                "minutes": "$flown.prediction",
                "planned": "$input.planned_min",
            },
            when="$flown.prediction != null and $verdict.value == 'tell'",
            fallback="plainly",
        ),
        PythonNode(
            "plainly",
            plain_words,
            inputs={"predicted": "$flown.prediction", "planned": "$input.planned_min"},
            when="$flown.prediction != null",
            only_as_fallback=True,
        ),
    ],
    output={
        "verdict": "$verdict.value",
        "minutes": "$flown.prediction",
        "because": "$why.feature",
        "gust_mph": "$weather.gust_mph",
        "words": "$words.text",
    },
    keeps="full",
    healthy=[failed_ratio(over=hours(6)) <= 0.05],
    policy=Policy.propose(approve_by="flight_ops"),
)

desk = Team("desk", routes=("desk_route", "prompt:*", "agent:delay_desk", "graph:delay_check"))

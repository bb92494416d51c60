"""A help desk: one route over two providers, two guards, a team with a budget."""

from __future__ import annotations

import os

from perdure import (
    Budget,
    Guard,
    InjectionRules,
    Limits,
    Pii,
    Policy,
    Probes,
    Ramp,
    Route,
    Secrets,
    Target,
    Team,
    UnitPrices,
    Upstream,
    error_ratio,
    first_token_ms,
    hours,
    minutes,
)

north = Upstream("north", os.environ.get("NORTH_URL", "http://127.0.0.1:9901") + "/v1")
south = Upstream("south", os.environ.get("SOUTH_URL", "http://127.0.0.1:9902") + "/v1")

personal_data = Guard("personal_data", [Pii("email", "phone", "iban")], on=("input", "output"), mode="redact")
injection = Guard("injection", [Secrets(), InjectionRules()], mode="block")

support = Route(
    "support",
    [
        Target(north, "answers-1", prices=UnitPrices(input=0.25, output=2.0)),
        Target(south, "answers-2", prices=UnitPrices(input=0.4, output=2.4)),
    ],
    guards=[personal_data, injection],
    probes=Probes(("Where is my parcel?", "How do I return shoes that do not fit?", "Is the shop open on Sunday?")),
    healthy=[
        (error_ratio(over=hours(1), by="target") <= 0.1).owed_to("help desk"),
        first_token_ms(quantile=0.95, over=hours(1)) <= 2_000,
    ],
    policy=Policy.act(cool_down=hours(1), ramp=Ramp(shadow=hours(0), canary=minutes(30), share=0.5), watch=hours(1)),
)

desk = Team(
    "desk", routes=("support",), budgets=[Budget(50, per="month")], limits=Limits(requests=6_000, concurrency=50)
)

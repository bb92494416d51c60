"""A prompt with a suite: questions about made districts, answered by a stand-in provider.

What the prompt says comes from the environment, so that the story can edit it as a person edits a file.
"""

from __future__ import annotations

import os

from perdure import (
    Policy,
    Prompt,
    Ramp,
    Route,
    Suite,
    Target,
    Team,
    UnitPrices,
    Upstream,
    days,
    eval_score,
    hours,
    scorers,
)
from perdure.testing.prompts import countries

provider = Upstream("provider", os.environ.get("PROVIDER_URL", "http://127.0.0.1:9901") + "/v1")
atlas = Route("atlas", [Target(provider, "answers-1", prices=UnitPrices(input=0.25, output=2.0))])

cities = Suite("cities", countries(120)[0], [scorers.Exact()], prompt="seat_of", role="primary", margin=0.05)

seat_of = Prompt(
    "seat_of",
    [("system", os.environ.get("WORDS", "Answer briefly.")), ("user", "{{ question }}")],
    route="atlas",
    variables={"question": str},
    params={"max_tokens": 50},
    healthy=[eval_score(suite="cities", over=days(2)) >= 0.5],
    policy=Policy.act(ramp=Ramp(canary=hours(2), share=0.3), watch=hours(4), cool_down=hours(1)),
)

readers = Team("readers", routes=("prompt:*",))

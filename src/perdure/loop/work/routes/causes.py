"""What may be behind a route's ill health: the causes of the kind "route".

| cause | what speaks for it | weight when it is real |
|---|---|---|
| `silent_change` | answers to the probes of one target moved | 0.95 |
| `upstream_saturated` | one target says that it is busy (429, 503, 529), or gets slower as calls come faster | 0.92, 0.88 |
| `upstream_failing` | errors come from one target more than from the others, and than before | 0.9 |
| `guard_trouble` | the route's guards fail, or take most of the time | 0.89 |
| `upstream_slow` | one target takes longer than it did, or streams slower | 0.85 |
| `price_change`, `longer_calls` | what of a dearer call its unit prices, or its tokens, explain | up to 0.8 |
| `traffic_moved` | questions that are like none before | 0.9 where nothing else broke |

Where the sick target is known it is named in the evidence under `target`: remedies go by it.
"""

from __future__ import annotations

from perdure.loop.protocols import Cause
from perdure.loop.work.routes.causes_money import LongerCalls, PriceChange
from perdure.loop.work.routes.causes_traffic import GuardTrouble, SilentChange, TrafficMoved
from perdure.loop.work.routes.causes_upstream import UpstreamFailing, UpstreamSaturated, UpstreamSlow


def route_causes() -> tuple[Cause, ...]:
    """The causes of the kind "route"."""
    return (
        SilentChange(),
        UpstreamSaturated(),
        UpstreamFailing(),
        GuardTrouble(),
        UpstreamSlow(),
        PriceChange(),
        LongerCalls(),
        TrafficMoved(),
    )

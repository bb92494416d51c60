"""No metric of the gateway goes untold, and none is told that is not there."""

from __future__ import annotations

import re

from prometheus_client.metrics_core import CounterMetricFamily

from perdure.serve.gateway.counted import GatewayCounters


def test_the_page_has_every_metric_with_its_labels(repository):
    """As Prometheus names them: a counter's name ends in `_total`."""
    there = {
        family.name + ("_total" if isinstance(family, CounterMetricFamily) else ""): list(family._labelnames)
        for family in GatewayCounters().families({})
    }
    page = (repository / "docs" / "gateway" / "telemetry.md").read_text().partition("\n## Metrics\n")[2]
    rows = re.findall(r"^\| `(\w+)` \| ([^|]*) \|", page, re.MULTILINE)
    assert {name: re.findall(r"`(\w+)`", labels) for name, labels in rows} == there

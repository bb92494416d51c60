"""No metric of indexes goes untold, and none is told that is not there."""

from __future__ import annotations

import re

from prometheus_client.metrics_core import CounterMetricFamily

from perdure.serve.retrieval.counted import SearchCounters


def test_the_page_has_every_metric_of_indexes_with_its_labels(repository):
    """As Prometheus names them: a counter's name ends in `_total`."""
    there = {
        family.name + ("_total" if isinstance(family, CounterMetricFamily) else ""): list(family._labelnames)
        for family in SearchCounters().families([])
    }
    page = (repository / "docs" / "indexes-serving.md").read_text().partition("\n## Metrics\n")[2]
    rows = re.findall(r"^\| `(\w+)` \| ([^|]*) \|", page, re.MULTILINE)
    assert {name: re.findall(r"`(\w+)`", labels) for name, labels in rows} == there

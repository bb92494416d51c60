"""What the data plane counts, as Prometheus reads it."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from perdure.serve.metrics import Counters, Reading, render


def samples(counters: Counters, readings: list[Reading]) -> dict[tuple[str, ...], float]:
    families = text_string_to_metric_families(render(counters, readings).decode())
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def test_requests_rows_and_latency_are_counted_by_model():
    counters = Counters()
    for _ in range(3):
        counters.count_request("predict", "air_time", 200)
    counters.count_request("predict", "", 404)
    counters.count_rows("air_time", 2, 0.0003)
    counters.count_rows("air_time", 1, 0.3)
    counters.count_rows("air_time", 1, 60.0)
    found = samples(counters, [])
    assert found["perdure_requests_total", "air_time", "predict", "200"] == 3
    assert found["perdure_requests_total", "", "predict", "404"] == 1
    assert found["perdure_rows_total", "air_time"] == 4
    assert found["perdure_latency_seconds_bucket", "0.0005", "air_time"] == 1
    assert found["perdure_latency_seconds_bucket", "10.0", "air_time"] == 2
    assert found["perdure_latency_seconds_bucket", "+Inf", "air_time"] == 3
    assert found["perdure_latency_seconds_count", "air_time"] == 3
    assert found["perdure_latency_seconds_sum", "air_time"] == 60.3003


def test_readings_are_gauges_or_counters():
    readings = [Reading("perdure_captures_lost", "Lost.", 2, grows=True), Reading("perdure_generation", "Now.", 7)]
    found = samples(Counters(), readings)
    assert found["perdure_captures_lost_total",] == 2
    assert found["perdure_generation",] == 7


def test_rows_without_a_fresh_row_are_counted_by_model_view_and_what_they_got():
    counters = Counters()
    counters.count_views("air_time", [{"weather": "missing", "aircraft": "fallback_default"}, {"weather": "missing"}])
    counters.count_views("fares", [{"weather": "fallback_last_good"}])
    counters.count_views("fares", [])
    found = samples(counters, [])
    assert {key[1:]: n for key, n in found.items() if key[0] == "perdure_stale_view_rows_total"} == {
        ("air_time", "missing", "weather"): 2,
        ("air_time", "fallback_default", "aircraft"): 1,
        ("fares", "fallback_last_good", "weather"): 1,
    }

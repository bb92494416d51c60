"""What scorers said reaches a collector as `gen_ai.evaluation.result`: each score of a run once, whatever the collector does."""

from __future__ import annotations

from pathlib import Path

import pytest
from collecting import Collector
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from perdure import Perdure, Project, Route, Target, Upstream
from perdure.assets.judge import Judge
from perdure.assets.scorers import Exact, Judged
from perdure.assets.suite import Case, Suite
from perdure.core.clock import iso, parse_at, to_us
from perdure.core.ports import Answered
from perdure.core.settings import ProjectSettings, Settings, TelemetrySettings
from perdure.core.units import seconds
from perdure.loop import telemetry_evals
from perdure.loop.telemetry_evals import EvaluationTelemetry, find_told
from perdure.loop.work.evals.answers import kept
from perdure.loop.work.evals.frozen import freeze
from perdure.loop.work.spans import span_ids
from perdure.stores.ledger.protocols import Run
from perdure.stores.results.protocols import RunRow
from perdure.testing.clock import SettableClock

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "::1"])

NOW = parse_at("2026-03-20T12:00:00Z")


class Logs(Collector):
    """Keeps logs."""

    def __init__(self) -> None:
        super().__init__(ExportLogsServiceRequest)

    def records(self) -> list[LogRecord]:
        scopes = [scope for each in self.requests for part in each.resource_logs for scope in part.scope_logs]
        return [record for scope in scopes for record in scope.log_records]


@pytest.fixture
def collector():
    made = Logs()
    yield made
    made.close()


def told(record: LogRecord) -> dict[str, object]:
    """Its attributes as plain values."""
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in record.attributes}


def row(case: str, scores: list[tuple[str, float | None, str, str]], **fields: object) -> RunRow:
    given = {
        "case": f"digest of {case}", "case_id": case, "cluster": case, "sample": 0, "subject": "answer@1", "answer": f"key {case}",
        "scores": scores, "score": 1.0, "usage": None, "cost_pusd": 2_000_000, "spent_pusd": 0, "latency_us": 9,
    }  # fmt: skip
    return RunRow(**{**given, **fields})  # type: ignore[arg-type]


EXACT = [("exact", 1.0, "scored", "")]


class Plant:
    """A project whose loop tells evaluations, on a clock that the test moves."""

    def __init__(self, folder: Path, url: str, *judges: Judge) -> None:
        openai = Upstream("openai", "https://api.openai.com/v1", key_env="A_SECRET")
        route = Route("support", [Target(openai, "small")])
        cases = [Case("a", {"messages": [{"role": "user", "content": "hi"}]})]
        scorers = [Exact(), *(Judged(each.name, label=each.name) for each in judges)]
        self.suite = suite = Suite("refunds", cases, scorers, route="support")
        settings = Settings(ProjectSettings("shop"), telemetry=TelemetrySettings(url))
        self.perdure = Perdure(folder, settings, project=Project.of("shop", route, suite, *judges))
        self.clock = SettableClock(NOW)
        [self.teller] = [each for each in self.perdure.loop._tellers if isinstance(each, EvaluationTelemetry)]
        self.teller._clock = self.clock
        self.at = NOW

    def ran(self, run: str, *rows: RunRow, finished: bool = True, kind: str = "eval") -> None:
        """A run of a suite, ended at the plant's instant."""
        stores = self.perdure.place.stores
        stores.results.put_run(run, rows)
        stores.results.put_answers(
            [
                (each.answer, kept(Answered({"content": "x"}, call_id=f"c_{each.case_id}"), run))
                for each in rows
                if not each.error
            ]
        )
        blob = freeze(stores.blobs, self.suite)[1]
        facts = {"suite": "refunds", "suite_version": "refunds@1", "frozen": blob, "subjects": ["answer@1"]}
        record = Run(run, kind, "answer", "done", self.at, self.at if finished else None, facts=facts)
        with self.perdure.place.transaction(self.at, "eval") as session:
            session.runs.put(record)

    def round(self, later_s: float = 1.0) -> None:
        self.at += seconds(1.0)
        self.clock.set(self.clock.now() + seconds(later_s))
        self.perdure.tick(at=self.at)

    def cursor(self):
        with self.perdure.place.stores.ledger.read() as session:
            return find_told(session)


def test_a_score_is_an_event_below_the_call_that_it_judges(tmp_path, collector):
    plant = Plant(tmp_path, collector.url)
    plant.ran(
        "r1",
        row(
            "a",
            [("exact", 1.0, "scored", ""), ("helpful", 0.25, "scored", "rude"), ("code", None, "not_applicable", "")],
        ),
    )
    plant.round()
    exact, helpful = collector.records()
    assert collector.paths == ["/v1/logs"]
    assert (exact.event_name, exact.time_unix_nano) == ("gen_ai.evaluation.result", to_us(NOW) * 1000)
    trace_id, span_id = span_ids("c_a")
    assert (int.from_bytes(exact.trace_id), int.from_bytes(exact.span_id)) == (trace_id, span_id)
    of_exact = told(exact)
    assert of_exact.pop("perdure.cost_usd") == pytest.approx(2e-6)
    assert of_exact == {
        "gen_ai.evaluation.name": "exact",
        "gen_ai.evaluation.score.value": 1.0,
        "gen_ai.evaluation.score.label": "pass",
        "gen_ai.response.id": "c_a",
        "perdure.suite": "refunds",
        "perdure.suite.version": "refunds@1",
        "perdure.run": "r1",
        "perdure.version": "answer@1",
        "perdure.case": "a",
        "perdure.sample": 0,
        "perdure.cached": False,
    }
    assert told(helpful)["gen_ai.evaluation.score.label"] == "partial"
    assert told(helpful)["gen_ai.evaluation.explanation"] == "rude"
    [request] = collector.requests
    resource = {each.key: each.value.string_value for each in request.resource_logs[0].resource.attributes}
    assert (resource["service.name"], resource["service.namespace"]) == ("perdure", "shop")


def test_a_failed_answer_is_told_as_an_error_without_a_span(tmp_path, collector):
    plant = Plant(tmp_path, collector.url)
    plant.ran("r1", row("a", [("exact", 0.0, "failed", "")], answer="", error="upstream.timed_out"))
    plant.round()
    [record] = collector.records()
    assert (told(record)["error.type"], told(record)["gen_ai.evaluation.score.label"]) == ("upstream.timed_out", "fail")
    assert (record.trace_id, "gen_ai.response.id" in told(record)) == (b"", False)


def test_explanations_go_out_masked(tmp_path, collector):
    plant = Plant(tmp_path, collector.url)
    plant.ran("r1", row("a", [("helpful", 0.0, "scored", "it names ann@example.org")]))
    plant.round()
    explained = told(collector.records()[0])["gen_ai.evaluation.explanation"]
    assert explained.startswith("it names [EMAIL-")
    assert b"ann@" not in collector.requests[0].SerializeToString()


def test_each_run_is_told_once_over_rounds_parts_and_restarts(tmp_path, collector, monkeypatch):
    monkeypatch.setattr(telemetry_evals, "_ROWS_A_TRY", 2)
    plant = Plant(tmp_path, collector.url)
    plant.ran("r1", *(row(f"{n}", EXACT) for n in range(5)))
    plant.round()
    plant.round()
    again = Plant(tmp_path, collector.url)
    again.at, again.clock = plant.at, plant.clock
    again.ran("r2", row("7", EXACT))
    again.ran("r3", row("8", EXACT), finished=False)
    again.ran("t1", row("9", EXACT), kind="train")
    again.round()
    assert [told(each)["perdure.case"] for each in collector.records()] == ["0", "1", "2", "3", "4", "7"]
    assert len(collector.requests) == 4
    assert again.cursor().n_sent == 6


def test_a_collector_that_is_down_stops_no_round_and_gets_everything_later(tmp_path, collector):
    plant = Plant(tmp_path, collector.url)
    collector.status = 503
    plant.ran("r1", row("a", EXACT))
    plant.round()
    plant.round()
    assert (plant.cursor().n_failed, plant.cursor().problem, len(collector.paths)) == (1, "HTTP 503", 1)
    assert plant.perdure.status(at=plant.at).telemetry == "evaluations wait; last try: HTTP 503"
    collector.status = 200
    plant.round(later_s=700.0)
    assert [told(each)["perdure.case"] for each in collector.records()] == ["a"]
    assert (plant.cursor().n_failed, plant.cursor().problem) == (0, "")


def test_what_the_collector_refuses_for_good_is_counted_and_stops_no_other(tmp_path, collector):
    plant = Plant(tmp_path, collector.url)
    collector.status = 400
    plant.ran("r1", row("a", EXACT))
    plant.round()
    collector.status = 200
    plant.ran("r2", row("b", EXACT))
    plant.round()
    assert [told(each)["perdure.case"] for each in collector.records()] == ["b"]
    assert (plant.cursor().n_given_up, plant.cursor().n_sent, plant.cursor().run) == (1, 1, "r2")


def test_of_what_lies_before_telemetry_was_switched_on_only_the_newest_run_is_told(tmp_path, collector):
    plant = Plant(tmp_path, collector.url)
    for number in range(3):
        plant.ran(f"r{number}", row(f"{number}", EXACT))
        plant.at += seconds(1.0)
    plant.round()
    assert [told(each)["perdure.case"] for each in collector.records()] == ["2"]
    assert plant.cursor().finished_at < iso(plant.at)


def test_a_judge_s_own_words_never_go_out_without_its_figure_as_labels_correct_it(tmp_path, collector):
    plant = Plant(tmp_path, collector.url, Judge("helpful", "Is it helpful?", "support"))
    plant.ran("r1", *(row(f"{n}", [("helpful", float(n % 2), "scored", "")]) for n in range(6)))
    plant.round()
    plant.round()
    *raw, whole = [told(each) for each in collector.records()]
    assert [each["gen_ai.evaluation.name"] for each in raw] == ["helpful"] * 6
    assert whole["gen_ai.evaluation.name"] == "helpful.corrected"
    assert whole["gen_ai.evaluation.score.label"] == "refused"
    assert "gen_ai.evaluation.score.value" not in whole
    assert "never calibrated" in str(whole["gen_ai.evaluation.explanation"])
    assert (whole["perdure.score.raw"], whole["perdure.version"], plant.cursor().n_sent) == (0.5, "answer@1", 7)


def test_a_judge_that_is_gone_holds_no_round_up(tmp_path, collector):
    plant = Plant(tmp_path, collector.url, Judge("helpful", "Is it helpful?", "support"))
    plant.suite = Suite("refunds", plant.suite.cases, [Judged("gone", label="gone")], route="support")
    plant.ran("r1", row("a", [("gone", 1.0, "scored", "")]))
    plant.round()
    assert [told(each)["gen_ai.evaluation.name"] for each in collector.records()] == ["gone"]
    assert plant.cursor().run == "r1"


def test_a_project_without_a_suite_or_a_collector_tells_none(tmp_path):
    assert Perdure(tmp_path, project=Project.of("p")).loop._tellers == []

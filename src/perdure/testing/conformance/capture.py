"""What every capture store must do, as a class of tests to inherit.

class TestSegments(CaptureConformance):
    def open_writer(self, root): return SegmentWriter(root, CaptureSettings())
    def open_log(self, root): return SegmentLog(root)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import pytest

from perdure.core.errors import Conflict, NotFound
from perdure.core.runs import RunRecord, StepRecord, Wait, WaitAnswer
from perdure.core.usage import Usage
from perdure.stores.capture.events import (
    Attempt,
    Call,
    Compared,
    Differing,
    Dropped,
    Event,
    Feedback,
    Guarded,
    LabelRow,
    Labels,
    Lost,
    PredictionRow,
    Predictions,
    Rejected,
    RunTold,
    Searched,
)
from perdure.stores.capture.protocols import CaptureLog, CaptureWriter, SegmentRange


def prediction(number: int, *, n_rows: int = 1, model: str = "air_time") -> Predictions:
    """An answered request, number `number`: its rows have the ids `p_<number>_<row>`."""
    rows = [
        PredictionRow(f"p_{number}_{row}", f"k{row}", f"{model}@1", "champion", b'{"a":1}', b"\0\0\x80\x3f", b"\0", 1.5)
        for row in range(n_rows)
    ]
    return Predictions(model, f"r_{number}", 1_000_000 + number, 2_000_000 + number, 250, 7, rows)


def call(number: int, *, route: str = "support", attempts: int = 1) -> Call:
    """A call of the gateway, number `number`, with the id `c_<number>`: all attempts but the last failed."""
    usage = Usage(n_input=10 + number, n_output=5, n_cached=3)
    tried = [Attempt("openai/small", 503, 10, 0, 900, "upstream") for _ in range(attempts - 1)]
    return Call(
        id=f"c_{number}",
        route=route,
        endpoint="chat",
        served_us=1_000_000 + number,
        recorded_us=2_000_000 + number,
        generation=7,
        version=f"{route}@1",
        arm="champion",
        prompt="",
        key="k1",
        team="help",
        affinity="user-1",
        stream=False,
        status=200,
        outcome="answered",
        finish="stop",
        latency_us=1_500,
        first_us=1_400,
        cache="miss",
        usage=usage,
        cost_pusd=1_250_000,
        saved_pusd=0,
        attempts=[*tried, Attempt("claude/haiku", 200, 920, 400, 450, usage=usage, cost_pusd=1_250_000)],
        guards=[Guarded("pii", "pii@1", "champion", "input", "redacted", "pii", "email", 1.0, 40, b"mail <email_1>")],
        request=b'[{"role":"user","content":"Hello"}]',
        answer=b'{"role":"assistant","content":"Hello!"}',
        tags={"ticket": "T-1"},
    )


def search(number: int, **members: Any) -> Searched:
    """One search that gave one chunk and dropped another."""
    told: dict[str, Any] = {
        "id": f"s_{number}", "index": "handbook", "version": "handbook@1", "arm": "champion", "generation": 3,
        "seen_us": 1_000_000, "served_us": 2_000_000, "recorded_us": 2_000_100, "latency_us": 900, "key": "k1",
        "team": "support", "query": "how long", "mode": "hybrid", "k": 2, "as_of_us": 0, "keys": [7],
        "documents": ["a.md"], "scores": [0.5], "cosines": [None], "dropped": [Dropped(8, "b.md", "ghost")],
    }  # fmt: skip
    return Searched(**{**told, **members})


def comparison(*differing: Differing, **members: Any) -> Compared:
    """One round in which a server held its memory against its store."""
    told: dict[str, Any] = {
        "index": "handbook", "version": "handbook@1", "process": "host:1", "generation": 3, "served_us": 2_000_000,
        "recorded_us": 2_000_100, "took_us": 900, "n_chunks": 9, "n_differing": len(differing),
        "differing": list(differing), "healed": bool(differing),
    }  # fmt: skip
    return Compared(**{**told, **members})


def run_told(number: int, *, n_tools: int = 1, **members: Any) -> RunTold:
    """A run of the agent `support` that is over, number `number`: a chat, `n_tools` tools, and a person who said yes."""
    id_ = f"run_{number:06d}"
    told: dict[str, Any] = {
        "id": id_, "kind": "agent", "asset": "support", "version": "support@1", "arm": "champion", "status": "done",
        "input": b'{"task":"Hello"}', "output": b'"Hello!"', "key": "k1", "team": "help", "root": id_,
        "served_us": 1_000_000 + number, "began_us": 2_000_000 + number, "ended_us": 5_000_000 + number,
        "n_steps": 1 + n_tools, "n_tokens": 15, "cost_pusd": 1_250_000, "tags": {"ticket": "T-1"},
    }  # fmt: skip
    run = RunRecord(**{**told, **{name: value for name, value in members.items() if name != "recorded_us"}})
    shared: dict[str, Any] = {"run": id_, "state": "done", "began_us": run.began_us, "took_us": 900_000}
    chat = StepRecord(
        **shared, n=0, kind="chat", node="prompt:support_agent", call="0", version="support_agent@1",
        versions={"route:support": "support@2"}, usage=Usage(n_input=10, n_output=5), cost_pusd=1_250_000,
        facts={"call_id": f"c_{number}", "cached": False},
    )  # fmt: skip
    tools = [
        StepRecord(
            **shared, n=1 + place, kind="tool", node="tool:send_reply", call=f"0.{place}", key=f"{id_}:{place}",
            input=b'{"to":"ann"}', output=b'{"sent":true}', facts={"tries": 1},
        )
        for place in range(n_tools)
    ]  # fmt: skip
    answer = WaitAnswer(actor="ann", approves=True, reason="It is right.", at_us=4_000_000)
    wait = Wait(
        id=f"w_{number}", run=id_, asset="support", call="0.0", tool="send_reply", question="approve", text="Send it?",
        arguments=b'{"to":"ann"}', role="desk", asked_us=3_000_000, answer=answer,
    )  # fmt: skip
    return RunTold(run=run, steps=[chat, *tools], waits=[wait], recorded_us=members.get("recorded_us", run.ended_us))


class CaptureConformance(ABC):
    """Order, acknowledgement and closing of segments."""

    @abstractmethod
    def open_writer(self, root: Path) -> CaptureWriter:
        """A writer of its own under `root`, with room for a few thousand small events a segment."""

    @abstractmethod
    def open_log(self, root: Path) -> CaptureLog:
        """The log over everything under `root`."""

    def read_all(self, log: CaptureLog) -> list[Event]:
        """Every event of every segment."""
        spans = [SegmentRange(info.name, 0, log.complete_end(info.name, 0)) for info in log.segments()]
        return [event for span in spans for event in log.read(span)]

    def test_a_log_without_segments_is_empty(self, tmp_path: Path) -> None:
        """A drainer may start before any server did."""
        assert self.open_log(tmp_path / "none").segments() == []

    def test_events_of_every_kind_come_back_as_they_were_written(self, tmp_path: Path) -> None:
        """Every kind, in order, equal."""
        events: list[Event] = [
            prediction(1, n_rows=2),
            Labels("air_time", "r_2", 5, 6, [LabelRow("p_1_0", "", 12.5, 4), LabelRow("", "k", 1.0, 4)]),
            Rejected("air_time", "r_3", 7, 8, [b'{"a":"x"}'], b'[{"row":0}]'),
            prediction(4, n_rows=0),
            Lost(3, 1, 8, 9, "host:1"),
            call(5, attempts=2),
            Feedback("c_5", 10, 11, "k1", "helpful", 1.0, "thanks"),
            search(6),
            comparison(Differing(8, "b.md", "ghost")),
            run_told(7, n_tools=2),
        ]
        writer = self.open_writer(tmp_path)
        assert all(writer.append(event) for event in events)
        assert self.read_all(self.open_log(tmp_path)) == events
        assert writer.n_lost == 0
        writer.close()

    def test_an_acknowledged_event_is_readable_at_once(self, tmp_path: Path) -> None:
        """The log needs no close or flush of the writer, and grows with it."""
        writer, log = self.open_writer(tmp_path), self.open_log(tmp_path)
        for number in range(3):
            assert writer.append(prediction(number))
            assert self.read_all(log) == [prediction(each) for each in range(number + 1)]
        writer.close()

    def test_reading_goes_on_where_it_ended(self, tmp_path: Path) -> None:
        """`complete_end` is a border of frames: ranges that meet there hold every event once."""
        writer, log = self.open_writer(tmp_path), self.open_log(tmp_path)
        writer.append(prediction(1))
        [info] = log.segments()
        border = log.complete_end(info.name, 0)
        assert log.complete_end(info.name, border) == border
        writer.append(prediction(2))
        end = log.complete_end(info.name, border)
        assert list(log.read(SegmentRange(info.name, border, end))) == [prediction(2)]
        writer.close()

    def test_a_segment_is_open_until_its_writer_closes_it(self, tmp_path: Path) -> None:
        """`closed` never comes too early."""
        writer, log = self.open_writer(tmp_path), self.open_log(tmp_path)
        writer.append(prediction(1))
        assert [info.closed for info in log.segments()] == [False]
        writer.close()
        assert [info.closed for info in log.segments()] == [True]

    def test_an_open_segment_is_not_removed(self, tmp_path: Path) -> None:
        """Removing it would lose what its writer appends next."""
        writer, log = self.open_writer(tmp_path), self.open_log(tmp_path)
        writer.append(prediction(1))
        [info] = log.segments()
        with pytest.raises(Conflict):
            log.remove(info.name)
        writer.close()
        log.remove(info.name)
        log.remove(info.name)
        assert log.segments() == []

    def test_a_segment_that_is_not_there_is_not_found(self, tmp_path: Path) -> None:
        """Not an empty one."""
        log = self.open_log(tmp_path)
        with pytest.raises(NotFound):
            log.complete_end("nothing", 0)
        with pytest.raises(NotFound):
            list(log.read(SegmentRange("nothing", 0, 10)))

    def test_two_writers_never_mix(self, tmp_path: Path) -> None:
        """Each has its own segments, in order of creation."""
        first, second = self.open_writer(tmp_path), self.open_writer(tmp_path)
        for number in range(10):
            first.append(prediction(number, model="first"))
            second.append(prediction(number, model="second"))
        found = self.read_all(self.open_log(tmp_path))
        expected = [prediction(number, model=model) for model in ("first", "second") for number in range(10)]
        assert found == expected
        first.close()
        second.close()

    def test_what_comes_after_close_is_counted_as_lost(self, tmp_path: Path) -> None:
        """An event is never dropped in silence, and never raises."""
        writer = self.open_writer(tmp_path)
        writer.append(prediction(1))
        writer.close()
        writer.close()
        assert writer.append(prediction(2)) is False
        assert writer.n_lost == 1
        assert self.read_all(self.open_log(tmp_path)) == [prediction(1)]

    def test_a_writer_says_whether_there_is_room_before_a_call_is_made(self, tmp_path: Path) -> None:
        """Yes with a disk to write to, before the first event as after it; no once it is closed."""
        writer = self.open_writer(tmp_path)
        assert writer.has_room()
        assert self.read_all(self.open_log(tmp_path)) == []
        assert writer.append(call(1))
        assert writer.has_room()
        writer.close()
        assert not writer.has_room()
        assert self.read_all(self.open_log(tmp_path)) == [call(1)]

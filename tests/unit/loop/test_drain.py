"""The drain: what becomes of events, of damage, and of a lease that is lost."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from perdure.core.clock import from_us
from perdure.core.errors import LostLease
from perdure.core.settings import CaptureSettings
from perdure.loop.damage import Damage
from perdure.loop.drain import Drain, DrainReport
from perdure.stores.capture.events import Feedback, LabelRow, Labels, Lost, PredictionRow, Predictions, Rejected
from perdure.stores.capture.log import SegmentLog
from perdure.stores.capture.segments import SegmentWriter
from perdure.stores.lake.delta import DeltaLake
from perdure.stores.lake.protocols import AppTransaction
from perdure.stores.ledger.sqlite import SqliteLedger
from perdure.testing.conformance.capture import call, prediction

_NOW = datetime(2013, 3, 1, tzinfo=UTC)


class Place:
    """A capture folder with one writer, a lake, a ledger and a leased drain."""

    def __init__(self, root, **drain):
        self.root = root / "capture"
        self.settings = CaptureSettings(min_free_bytes=0, segment_bytes=2_000)
        self.writer = SegmentWriter(self.root, self.settings)
        self.log = SegmentLog(self.root)
        self.lake = DeltaLake(root / "lake")
        self.ledger = SqliteLedger(root / "ledger.db", project="test")
        self.lease = self.ledger.leases.acquire("drain", "me", 60.0)
        self.drain = Drain(self.log, self.lake, self.ledger, **drain)

    def run(self):
        return self.drain.run(now=_NOW, actor="test", lease=self.lease)

    def incidents(self):
        with self.ledger.read() as session:
            return session.incidents.list(open_only=True)

    def ids(self):
        return self.lake.read("captures/air_time")["prediction_id"].sort().to_list()


@pytest.fixture
def place(tmp_path):
    place = Place(tmp_path)
    yield place
    place.writer.close()
    place.ledger.close()


def test_nothing_to_drain_records_nothing(place):
    assert place.run() == DrainReport()
    with place.ledger.read() as session:
        assert session.cursors.get("drain") is None
    assert place.lake.tables() == []


def test_predictions_become_rows_with_all_that_was_recorded(place):
    vector = np.float32([1.5, np.nan, -0.1])
    rows = [
        PredictionRow("p_1", "UA1", "air_time@a", "champion", '{"é":1}'.encode(), vector.tobytes(), b"\0\2", 227.25),
        PredictionRow("p_2", "UA2", "air_time@b", "shadow", b"{}", vector[:1].tobytes(), b"", float("inf")),
    ]
    place.writer.append(Predictions("air_time", "r_1", 1_000_001, 2_000_002, 321, 7, rows))
    assert place.run() == DrainReport(n_frames=1, n_rows=2, batches=1)
    found = place.lake.read("captures/air_time").sort("prediction_id")
    shared = {
        "request_id": "r_1",
        "served_at": from_us(1_000_001),
        "recorded_at": from_us(2_000_002),
        "latency_us": 321,
        "generation": 7,
        "batch": 1,
    }
    features = found.drop_in_place("features")
    assert features.dtype == pl.List(pl.Float32)
    np.testing.assert_array_equal(features[0].to_numpy(), vector)
    np.testing.assert_array_equal(features[1].to_numpy(), vector[:1])
    first = {"prediction_id": "p_1", "key": "UA1", "version": "air_time@a", "arm": "champion", "row": '{"é":1}'}
    second = {"prediction_id": "p_2", "key": "UA2", "version": "air_time@b", "arm": "shadow", "row": "{}"}
    assert found.to_dicts() == [
        {**first, "status": b"\0\2", "prediction": 227.25, **shared},
        {**second, "status": b"", "prediction": float("inf"), **shared},
    ]


def test_labels_become_rows_and_an_empty_id_or_key_is_null(place):
    place.writer.append(Labels("air_time", "r_1", 30, 40, [LabelRow("p_1", "", 1.5, 10), LabelRow("", "UA1", 2.5, 20)]))
    assert place.run() == DrainReport(n_frames=1, n_labels=2, batches=1)
    shared = {"received_at": from_us(30), "recorded_at": from_us(40), "request_id": "r_1", "batch": 1}
    assert place.lake.read("labels/air_time").sort("value").to_dicts() == [
        {"prediction_id": "p_1", "key": None, "value": 1.5, "known_at": from_us(10), **shared},
        {"prediction_id": None, "key": "UA1", "value": 2.5, "known_at": from_us(20), **shared},
    ]


def test_calls_and_feedback_are_counted_by_their_own_tables(place):
    place.writer.append(call(1, attempts=3))
    place.writer.append(call(2, route="other"))
    place.writer.append(Feedback("c_1", 5, 6, "k1", "helpful", 1.0))
    assert place.run() == DrainReport(n_frames=3, n_calls=2, n_feedback=1, batches=1)
    assert place.lake.tables() == ["attempts", "calls", "feedback", "guarded"]
    assert place.lake.read("attempts").height == 4
    assert place.run() == DrainReport()


def test_a_lake_that_is_ahead_in_calls_alone_ignores_no_batch(place):
    """Batch numbers go on after the greatest of any table, calls and their parts too."""
    for table in ("calls", "attempts", "guarded", "feedback"):
        place.lake.append(table, pl.DataFrame({"call_id": ["c_0"]}), transaction=AppTransaction("drain", 40))
    place.writer.append(call(1))
    place.run()
    assert place.lake.read("calls").filter(pl.col("call_id") == "c_1")["batch"].to_list() == [41]


def test_each_rejected_row_keeps_its_own_errors(place):
    errors = [{"row": 3, "field": "a"}, {"row": 7, "field": "b"}, {"row": 3, "field": "c"}]
    place.writer.append(Rejected("air_time", "r_1", 5, 6, [b'{"n":3}', b'{"n":"\xff"}'], json.dumps(errors).encode()))
    place.writer.append(Rejected("air_time", "r_2", 7, 8, [b"1", b"2"], b'[{"row":0}]'))
    place.writer.append(Rejected("air_time", "r_3", 9, 9, [b"{"], b"not JSON"))
    assert place.run() == DrainReport(n_frames=3, n_rejected=5, batches=1)
    found = place.lake.read("quarantine").sort("at", "row")
    assert found["origin"].unique().to_list() == ["request:air_time"]
    assert found["at"].to_list() == [from_us(us) for us in (5, 5, 7, 7, 9)]
    assert found["recorded_at"].to_list() == [from_us(us) for us in (6, 6, 8, 8, 9)]
    assert found["row"].to_list() == ['{"n":"\N{REPLACEMENT CHARACTER}"}', '{"n":3}', "1", "2", "{"]
    assert found["errors"].to_list() == [
        '[{"row":7,"field":"b"}]',
        '[{"row":3,"field":"a"},{"row":3,"field":"c"}]',
        '[{"row":0}]',
        '[{"row":0}]',
        "not JSON",
    ]


def test_an_open_segment_is_drained_as_it_grows_and_removed_once_closed(place):
    for number in range(3):
        place.writer.append(prediction(number))
        assert place.run() == DrainReport(n_frames=1, n_rows=1, batches=1)
        assert place.run() == DrainReport()
    assert len(place.log.segments()) == 1
    place.writer.close()
    assert place.run() == DrainReport()
    assert place.log.segments() == []
    assert place.ids() == ["p_0_0", "p_1_0", "p_2_0"]


def test_offsets_of_removed_segments_are_forgotten(place):
    for number in range(60):
        place.writer.append(prediction(number))
    place.run()
    place.writer.append(prediction(60))
    place.run()
    with place.ledger.read() as session:
        offsets = session.cursors.get("drain")["offsets"]
    assert list(offsets) == [info.name for info in place.log.segments()]
    assert len(place.ids()) == 61


def test_a_backlog_is_drained_in_several_batches(tmp_path):
    place = Place(tmp_path, batch_bytes=3_000)
    for number in range(100):
        place.writer.append(prediction(number))
    report = place.run()
    assert report.n_frames == report.n_rows == 100
    assert report.batches > 2
    assert place.ids() == sorted(f"p_{number}_0" for number in range(100))
    assert place.lake.read("captures/air_time")["batch"].n_unique() == report.batches
    place.ledger.close()


def test_damage_is_reported_recorded_and_set_aside_and_costs_only_itself(place):
    for number in range(4):
        place.writer.append(prediction(number))
    [path] = place.root.glob("*.seg")
    data = bytearray(path.read_bytes())
    size = len(data) // 4
    for frame in (1, 3):
        data[frame * size + 40] ^= 1
    path.write_bytes(data)
    place.writer.close()
    report = place.run()
    damages = tuple(Damage(path.stem, frame * size, frame * size + size, "corrupt") for frame in (1, 3))
    assert report == DrainReport(n_frames=2, n_rows=2, batches=1, corrupt=damages)
    assert place.ids() == ["p_0_0", "p_2_0"]
    assert len(list((place.root / "corrupt").iterdir())) == 2
    with place.ledger.read() as session:
        entries = [entry for entry in session.audit.list() if entry.action == "capture.corrupt"]
    assert [(entry.subject, entry.facts["start"]) for entry in entries] == [(path.stem, size), (path.stem, 3 * size)]
    [incident] = place.incidents()
    assert (incident.asset, incident.kind, report.opened) == ("capture", "capture_corrupt", (incident,))
    assert incident.facts["n_bytes"] == 2 * size
    assert incident.facts["places"][0] == {"segment": path.stem, "start": size, "end": 2 * size, "kind": "corrupt"}
    assert place.run() == DrainReport()


def test_what_writers_lost_is_counted_and_opens_one_incident(place):
    place.writer.append(Lost(3, 1, 1_000_000, 2_000_000, "host:1"))
    place.writer.append(Lost(4, 0, 500_000, 1_500_000, "host:2"))
    report = place.run()
    assert report == DrainReport(n_frames=2, batches=1, n_lost=7)
    [incident] = place.incidents()
    assert (incident.asset, incident.kind, report.opened) == ("capture", "capture_loss", (incident,))
    assert "7 captured events could not be written between 1970-01-01T00:00:00.500000Z and" in incident.summary
    assert "1 of them were labels" in incident.summary
    assert incident.facts["processes"] == ["host:1", "host:2"]
    place.writer.append(Lost(2, 0, 3_000_000, 3_000_000, "host:1"))
    assert place.run().opened == ()
    assert place.incidents() == [incident]
    with place.ledger.read() as session:
        told = [entry.facts["n"] for entry in session.audit.list() if entry.action == "capture.lost"]
    assert told == [3, 4, 2]
    assert place.ledger.verify().intact


def test_a_segment_that_vanishes_with_a_batch_under_way_is_reported_and_stops_nothing(place):
    """Somebody deleted it between the intent and the append: the drain must not wait for it for ever."""
    place.writer.append(prediction(1))
    [path] = place.root.glob("*.seg")
    size = path.stat().st_size

    class Gone(BaseException):
        pass

    def dies():
        raise Gone

    with pytest.raises(Gone):
        Drain(place.log, Pausing(place.lake, dies), place.ledger).run(now=_NOW, actor="test", lease=place.lease)
    place.writer.close()
    path.unlink()
    assert place.run() == DrainReport(batches=1, corrupt=(Damage(path.stem, 0, size, "missing"),))
    [incident] = place.incidents()
    assert "1 went with a segment that was removed" in incident.summary
    writer = SegmentWriter(place.root, place.settings)
    writer.append(prediction(2))
    assert place.run().n_rows == 1
    writer.close()


def test_a_ledger_from_a_backup_makes_the_drain_skip_no_event(tmp_path):
    """The lake ignores batch numbers that it has seen; a ledger that is behind must not count from them."""
    place = Place(tmp_path)
    for number in range(3):
        place.writer.append(prediction(number))
        place.run()
    place.ledger.close()
    for path in tmp_path.glob("ledger.db*"):
        path.unlink()
    place.writer.close()
    again = Place(tmp_path)
    again.writer.append(prediction(3))
    assert again.run().n_rows == 4
    assert set(again.ids()) == {f"p_{number}_0" for number in range(4)}
    again.writer.close()
    again.ledger.close()


def test_the_torn_tail_of_a_dead_writer_is_reported_once(place):
    place.writer.append(prediction(1))
    place.writer.close()
    [path] = place.root.glob("*.seg")
    whole = path.stat().st_size
    path.write_bytes(path.read_bytes() + path.read_bytes()[:-5])
    assert place.run().corrupt == (Damage(path.stem, whole, 2 * whole - 5, "torn"),)
    assert place.run() == DrainReport()
    assert place.ids() == ["p_1_0"]


def test_a_torn_tail_of_a_living_writer_waits(place):
    place.writer.append(prediction(1))
    [path] = place.root.glob("*.seg")
    whole = path.read_bytes()
    with path.open("ab") as file:
        file.write(whole[:-5])
    assert place.run() == DrainReport(n_frames=1, n_rows=1, batches=1)
    with path.open("ab") as file:
        file.write(whole[-5:])
    assert place.run() == DrainReport(n_frames=1, n_rows=1, batches=1)


def test_without_the_lease_nothing_moves_and_the_next_holder_does_it_all(place):
    place.writer.append(prediction(1))
    place.ledger.leases.release(place.lease)
    other = place.ledger.leases.acquire("drain", "other", 60.0)
    with pytest.raises(LostLease):
        place.run()
    assert place.lake.tables() == []
    place.lease = other
    assert place.run().n_rows == 1


class Pausing:
    """A lake before whose first append something happens: a worker that was paused there."""

    def __init__(self, lake, meanwhile):
        self._lake, self._meanwhile = lake, meanwhile

    def __getattr__(self, name):
        return getattr(self._lake, name)

    def append(self, *args, **kwargs):
        meanwhile, self._meanwhile = self._meanwhile, lambda: None
        meanwhile()
        return self._lake.append(*args, **kwargs)


def test_a_paused_worker_that_lost_its_lease_appends_nothing_twice(place):
    """It wakes up after the new holder finished its batch, and another one."""
    place.writer.append(prediction(1))
    paused = place.lease

    def taken_over():
        place.ledger.leases.release(paused)
        place.lease = place.ledger.leases.acquire("drain", "other", 60.0)
        assert place.run().n_rows == 1
        place.writer.append(prediction(2))
        assert place.run().n_rows == 1

    zombie = Drain(place.log, Pausing(DeltaLake(place.root.parent / "lake"), taken_over), place.ledger)
    with pytest.raises(LostLease):
        zombie.run(now=_NOW, actor="test", lease=paused)
    assert place.ids() == ["p_1_0", "p_2_0"]
    place.run()
    assert place.ids() == ["p_1_0", "p_2_0"]

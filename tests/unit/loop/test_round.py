"""A round: its order in time, one failing asset beside healthy ones, losses and damage made visible."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime

import polars as pl
import pytest

from perdure.assets.contract import Contract
from perdure.assets.objective import SignalSpec
from perdure.assets.source import Source, csv
from perdure.assets.version import Pointer, Version
from perdure.core.errors import BadObjective, BadSource, Corrupt, LostLease, NotReady
from perdure.core.settings import CaptureSettings
from perdure.core.units import days, hours
from perdure.loop.round import Loop
from perdure.stores.capture.segments import SegmentWriter
from perdure.testing.conformance.capture import prediction
from perdure.testing.toy import TOY, Gauge, level, toy_kind, watch

T0 = datetime(2025, 1, 1, tzinfo=UTC)
GAUGE = Gauge("boiler", {T0 + hours(hour): float(hour) for hour in range(24 * 10)})


class Seen(Contract):
    sensor: str
    at: datetime


def frame(*sensors):
    return pl.DataFrame({"sensor": sensors, "at": [T0 - hours(1)] * len(sensors)})


@pytest.fixture
def make(place):
    """A loop over sources and gauges."""

    def made(*watched, sources=()):
        return Loop(place, {TOY: toy_kind()}, sources, watched, list)

    return made


def open_incidents(place):
    with place.stores.ledger.read() as session:
        return session.incidents.list(open_only=True)


def test_a_round_measures_what_is_due_and_says_so(make, lease):
    loop = make(watch(GAUGE, level(over=days(1)) <= 20.0), watch(Gauge("valve", {}), level(over=days(1)) <= 1.0))
    first, second = loop.tick(T0 + hours(23), lease), loop.tick(T0 + hours(24), lease)
    assert [finding.asset for finding in first.broken] == ["boiler"]
    assert second.findings == []


def test_a_round_at_the_same_instant_changes_nothing(make, place, lease):
    loop = make(watch(GAUGE, level(over=days(1)) <= 20.0))
    loop.tick(T0, lease)
    sequence = place.stores.ledger.sequence()
    assert loop.tick(T0, lease).findings == []
    assert place.stores.ledger.sequence() == sequence


def test_domain_time_never_goes_back(make, place, lease):
    """A clock that was put back, or a wrong --at: refused in words before anything is changed, also by a new process."""
    source = Source("seen", contract=Seen, read=lambda: frame("a"), event_at="at")
    make(sources=[source]).tick(T0, lease)
    again = make(watch(GAUGE, level(over=days(1)) <= 20.0), sources=[source])
    with pytest.raises(NotReady, match=r"is 7200 s behind the newest one, at 2025-01-01T00:00:00Z") as caught:
        again.tick(T0 - hours(2), lease)
    assert caught.value.delay_s == 7200.0
    assert place.stores.readings.list("boiler") == []
    assert again.tick(T0 + hours(2), lease).ingested[0].n_rows == 0
    assert place.stores.lake.read("sources/seen").height == 1


def test_a_lost_lease_ends_the_round_before_it_begins(make, place, lease):
    place.stores.leases.release(lease)
    with pytest.raises(LostLease):
        make(watch(GAUGE, level(over=days(1)) <= 20.0)).tick(T0, lease)
    assert place.stores.readings.list("boiler") == []


def test_a_source_that_cannot_be_read_stops_nothing_else_and_is_told_at_the_end(make, place, lease, tmp_path):
    lost = Source("lost", contract=Seen, read=csv(tmp_path / "none.csv"), event_at="at")
    failing = Source("failing", contract=Seen, read=lambda: frame(*1 / 0), event_at="at")
    fine = Source("fine", contract=Seen, read=lambda: frame("a"), event_at="at")
    writer = SegmentWriter(tmp_path / ".perdure" / "capture", CaptureSettings(min_free_bytes=0))
    writer.append(prediction(1))
    loop = make(watch(GAUGE, level(over=days(1)) <= 20.0), sources=[lost, failing, fine])
    with pytest.raises(BadSource, match=r"none\.csv, which does not exist") as caught:
        loop.tick(T0, lease)
    [note] = caught.value.__notes__
    assert "The reader of source 'failing' failed: ZeroDivisionError: division by zero" in note
    assert place.stores.lake.read("sources/fine").height == 1
    assert place.stores.lake.read("captures/air_time").height == 1
    assert len(place.stores.readings.list("boiler")) == 1
    writer.close()


def test_an_objective_that_cannot_be_measured_is_told_when_the_round_is_done(make, place, lease):
    loop = make(
        watch(Gauge("valve", {}), SignalSpec("pressure", days(1)) <= 1.0), watch(GAUGE, level(over=days(1)) <= 1)
    )
    with pytest.raises(BadObjective):
        loop.tick(T0, lease)
    assert len(place.stores.readings.list("boiler")) == 1


def test_a_loss_is_an_open_incident_of_the_round_that_brings_it(make, place, lease, tmp_path):
    root = tmp_path / ".perdure" / "capture"
    writer = SegmentWriter(root, CaptureSettings(min_free_bytes=0))
    shutil.rmtree(root)
    writer.append(prediction(1))
    root.mkdir()
    writer.append(prediction(2))
    report = make().tick(T0, lease)
    assert report.drained.n_lost == 1
    [incident] = report.opened
    assert (incident.asset, incident.kind) == ("capture", "capture_loss")
    assert open_incidents(place) == [incident]
    assert make().tick(T0 + hours(1), lease).opened == []
    writer.close()


def released(place, data=b"the model"):
    """A version with one blob, and a pointer to it."""
    digest = place.stores.blobs.put(data)
    version = Version("boiler@1", "boiler", TOY, {"offset": 0.0}, {"native": digest}, {}, {}, T0)
    with place.stores.ledger.transaction(actor="test", at=T0) as session:
        session.registry.put_version(version)
        session.pointers.set([Pointer("boiler", "champion", "boiler@1")])
    return digest


def test_a_blob_that_was_set_aside_as_corrupt_is_an_open_incident_until_it_is_whole_again(make, place, lease):
    digest = released(place)
    loop = make()
    assert loop.tick(T0, lease).opened == []
    [path] = [path for path in place.stores.blobs._root.rglob(digest) if path.is_file()]
    path.write_bytes(b"the modem")
    with pytest.raises(Corrupt):
        place.stores.blobs.get(digest)
    [incident] = loop.tick(T0 + hours(1), lease).opened
    assert (incident.asset, incident.kind) == ("boiler", "blob_missing")
    assert "native of boiler@1" in incident.summary
    assert incident.facts == {"blobs": [{"version": "boiler@1", "role": "native", "digest": digest}]}
    assert loop.tick(T0 + hours(2), lease).opened == []
    assert open_incidents(place) == [incident]
    place.stores.blobs.put(b"the model")
    loop.tick(T0 + hours(3), lease)
    assert open_incidents(place) == []
    assert place.stores.ledger.verify().intact


def test_a_blob_that_no_pointer_needs_any_more_is_no_incident(make, place, lease):
    digest = released(place)
    [path] = [path for path in place.stores.blobs._root.rglob(digest) if path.is_file()]
    path.unlink()
    loop = make()
    assert len(loop.tick(T0, lease).opened) == 1
    with place.stores.ledger.transaction(actor="test", at=T0) as session:
        session.pointers.remove("boiler", "champion")
    loop.tick(T0 + hours(1), lease)
    assert open_incidents(place) == []

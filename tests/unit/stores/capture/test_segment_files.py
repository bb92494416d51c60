"""Segment files: rotation, room, damage, torn tails."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading

import pytest

from perdure.core.errors import Corrupt
from perdure.core.settings import CaptureSettings
from perdure.stores.capture.events import Feedback, LabelRow, Labels, Lost
from perdure.stores.capture.frames import HEADER_BYTES, frame
from perdure.stores.capture.log import SegmentLog
from perdure.stores.capture.protocols import SegmentRange
from perdure.stores.capture.segments import SegmentWriter
from perdure.testing.conformance.capture import call, prediction, run_told


def _writer(root, **settings):
    return SegmentWriter(root, CaptureSettings(**{"min_free_bytes": 0, **settings}))


def _written(root, n_events):
    """A closed segment of so many events; its path and its log."""
    writer = _writer(root)
    for number in range(n_events):
        assert writer.append(prediction(number))
    writer.close()
    [path] = root.glob("*.seg")
    return path, SegmentLog(root)


def _events(log):
    spans = [SegmentRange(info.name, 0, log.complete_end(info.name, 0)) for info in log.segments()]
    return [event for span in spans for event in log.read(span)]


def test_a_full_segment_is_closed_and_a_new_one_begun(tmp_path):
    writer, log = _writer(tmp_path, segment_bytes=1_000), SegmentLog(tmp_path)
    for number in range(50):
        assert writer.append(prediction(number))
    segments = log.segments()
    assert len(segments) > 4
    assert all(info.size_bytes <= 1_000 for info in segments)
    assert [info.closed for info in segments] == [True] * (len(segments) - 1) + [False]
    assert _events(log) == [prediction(number) for number in range(50)]
    writer.close()


def test_an_event_larger_than_a_segment_gets_one_of_its_own(tmp_path):
    writer = _writer(tmp_path, segment_bytes=500)
    events = [prediction(1), prediction(2, n_rows=100), prediction(3)]
    assert all(writer.append(event) for event in events)
    assert _events(SegmentLog(tmp_path)) == events
    assert len(SegmentLog(tmp_path).segments()) == 3
    writer.close()


def test_names_sort_by_creation_also_within_a_microsecond(tmp_path):
    writer = _writer(tmp_path, segment_bytes=1)
    for number in range(300):
        writer.append(prediction(number))
    assert _events(SegmentLog(tmp_path)) == [prediction(number) for number in range(300)]
    writer.close()


def test_nothing_is_created_before_the_first_event(tmp_path):
    _writer(tmp_path / "capture").close()
    assert list((tmp_path / "capture").iterdir()) == []


def test_a_newborn_segment_is_not_seen_before_it_is_locked(tmp_path):
    (tmp_path / "0000000000000001-0000001.new").write_bytes(b"")
    assert SegmentLog(tmp_path).segments() == []


def test_threads_share_a_writer(tmp_path):
    writer = _writer(tmp_path, segment_bytes=5_000)

    def work(model):
        for number in range(200):
            writer.append(prediction(number, model=model))

    threads = [threading.Thread(target=work, args=(f"m{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = _events(SegmentLog(tmp_path))
    for number in range(4):
        own = [event for event in found if event.model == f"m{number}"]
        assert own == [prediction(each, model=f"m{number}") for each in range(200)]
    assert len(found) == 800
    writer.close()


# ---- room


def test_too_little_free_space_is_counted_and_never_raised(tmp_path):
    writer = _writer(tmp_path, min_free_bytes=2**62)
    assert [writer.append(prediction(number)) for number in range(3)] == [False] * 3
    assert writer.n_lost == 3
    assert SegmentLog(tmp_path).segments() == []


def test_a_failing_disk_is_counted_and_never_raised(tmp_path):
    root = tmp_path / "capture"
    writer = _writer(root)
    shutil.rmtree(root)
    assert writer.append(prediction(1)) is False
    root.mkdir()
    assert writer.append(prediction(2)) is True
    assert writer.n_lost == 1
    assert _events(SegmentLog(root))[1:] == [prediction(2)]
    writer.close()


def _label(number):
    return Labels("air_time", f"l_{number}", 5, 2_000_000 + number, [LabelRow("p_1_0", "", 1.0, 4)])


def test_a_loss_is_told_with_the_first_event_that_can_be_written_again_and_once(tmp_path):
    root = tmp_path / "capture"
    writer = _writer(root)
    assert writer.append(prediction(1))
    shutil.rmtree(root)
    writer._retire()
    assert not any(writer.append(event) for event in (prediction(2), _label(3), prediction(4)))
    root.mkdir()
    assert writer.append(prediction(5))
    assert writer.append(prediction(6))
    lost = Lost(3, 1, 2_000_002, 2_000_004, f"{os.uname().nodename}:{os.getpid()}")
    assert _events(SegmentLog(root)) == [lost, prediction(5), prediction(6)]
    writer.close()
    assert _events(SegmentLog(root)) == [lost, prediction(5), prediction(6)]


def test_a_loss_that_lasts_until_the_writer_closes_is_told_from_the_reserve(tmp_path):
    """Free space is below the reserve, which is there for such a record."""
    writer = _writer(tmp_path, min_free_bytes=2**62)
    writer.append(prediction(1))
    writer.append(prediction(2))
    writer.close()
    writer.close()
    [lost] = _events(SegmentLog(tmp_path))
    assert (lost.n, lost.first_us, lost.recorded_us) == (2, 2_000_001, 2_000_002)


def test_a_loss_that_cannot_be_told_at_the_end_does_not_raise(tmp_path):
    root = tmp_path / "capture"
    writer = _writer(root)
    shutil.rmtree(root)
    writer.append(prediction(1))
    writer.close()
    assert writer.n_lost == 1


def test_there_is_no_room_below_the_reserve_and_calls_and_runs_under_way_are_recorded_in_it(tmp_path):
    writer = _writer(tmp_path, min_free_bytes=2**62)
    assert not writer.has_room()
    assert writer.append(call(1))
    assert not writer.append(prediction(2))
    assert not writer.has_room()
    assert writer.append(call(3))
    assert writer.append(run_told(4))
    found = _events(SegmentLog(tmp_path))
    assert [found[0], *found[2:]] == [call(1), call(3), run_told(4)]
    assert (found[1].n, writer.n_lost) == (1, 1)
    writer.close()


def test_after_a_failure_there_is_room_only_once_the_loss_could_be_told(tmp_path):
    """Free bytes prove nothing where the folder is gone or a quota is full."""
    root = tmp_path / "capture"
    writer = _writer(root)
    shutil.rmtree(root)
    assert writer.append(call(1)) is False
    assert not writer.has_room()
    root.mkdir()
    assert writer.has_room()
    assert writer.append(call(2))
    lost, kept = _events(SegmentLog(root))
    assert (lost.n, kept) == (1, call(2))
    writer.close()


def test_free_space_is_not_asked_for_at_every_look(tmp_path, monkeypatch):
    looks = []
    real = os.statvfs
    monkeypatch.setattr(os, "statvfs", lambda path: looks.append(path) or real(path))
    writer = _writer(tmp_path)
    assert all(writer.has_room() for _ in range(100))
    assert all(writer.append(call(number)) for number in range(100))
    assert len(looks) == 1
    writer.close()


def test_feedback_that_was_lost_counts_as_refused(tmp_path):
    """Its sender was told so, as a label's is."""
    writer = _writer(tmp_path, min_free_bytes=2**62)
    assert not writer.append(Feedback("c_1", 5, 6, "k1", "helpful", 1.0))
    writer.close()
    [lost] = _events(SegmentLog(tmp_path))
    assert (lost.n, lost.n_refused) == (1, 1)


_LIMITED = """
import resource, sys
from pathlib import Path
from perdure.core.settings import CaptureSettings
from perdure.stores.capture.segments import SegmentWriter
from perdure.testing.conformance.capture import prediction

resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, 1_000))
writer = SegmentWriter(Path(sys.argv[1]), CaptureSettings(min_free_bytes=0))
print([number for number in range(60) if writer.append(prediction(number))], writer.n_lost, sep=";")
"""


def test_a_frame_that_fits_only_in_part_is_taken_back(tmp_path):
    """The kernel cuts the write at the limit; what was acknowledged is read, and no byte is damaged."""
    done = subprocess.run(
        [sys.executable, "-c", _LIMITED, tmp_path / "capture"], capture_output=True, text=True, check=True
    )
    acknowledged, n_lost = done.stdout.split(";")
    log = SegmentLog(tmp_path / "capture")
    events = _events(log)
    found = {event.request_id for event in events if not isinstance(event, Lost)}
    kept = [number for number in range(60) if f"r_{number}" in found]
    assert str(kept) == acknowledged
    assert 0 < int(n_lost) == 60 - len(kept) < 30
    assert sum(event.n for event in events if isinstance(event, Lost)) == int(n_lost) - (59 not in kept)
    assert all(info.size_bytes == log.complete_end(info.name, 0) for info in log.segments())
    assert not (tmp_path / "capture" / "corrupt").exists()


_FULL = """
import json, sys
from pathlib import Path
from perdure.core.settings import CaptureSettings
from perdure.stores.capture.events import Lost
from perdure.stores.capture.log import SegmentLog
from perdure.stores.capture.protocols import SegmentRange
from perdure.stores.capture.segments import SegmentWriter
from perdure.testing.conformance.capture import prediction

disk = Path(sys.argv[1])
ballast = disk / "ballast"
ballast.write_bytes(b"x" * 40_000)
writer = SegmentWriter(disk / "capture", CaptureSettings(min_free_bytes=0))
kept = [number for number in range(300) if writer.append(prediction(number))]
n_lost = writer.n_lost
ballast.unlink()
recovered = writer.append(prediction(300))
log = SegmentLog(disk / "capture")
spans = [SegmentRange(info.name, 0, log.complete_end(info.name, 0)) for info in log.segments()]
events = [event for span in spans for event in log.read(span)]
told = sum(event.n for event in events if isinstance(event, Lost))
found = [event.request_id for event in events if not isinstance(event, Lost)]
print(json.dumps({"told": told, "kept": kept, "n_lost": n_lost, "recovered": recovered, "found": found, "n_segments": len(spans)}))
"""
_ON_A_SMALL_DISK = 'mount -t tmpfs -o size=64k tmpfs "$1" || exit 77; exec "$2" -c "$3" "$1"'


def test_a_full_disk_loses_what_it_must_and_recovers(tmp_path):
    """Scoring goes on: `append` says no, counts, and says yes again when there is room.

    The disk of 64 KiB lives in a mount namespace of its own, and ends with it.
    """
    command = ["unshare", "--mount", "sh", "-c", _ON_A_SMALL_DISK, "sh", tmp_path, sys.executable, _FULL]
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("a small disk needs the right to mount")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode in {1, 77} and not done.stdout and "Traceback" not in done.stderr:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
    told = json.loads(done.stdout)
    assert 0 < len(told["kept"]) == 300 - told["n_lost"] < 300
    assert told["recovered"] is True
    assert told["told"] == told["n_lost"]
    assert told["found"] == [f"r_{number}" for number in [*told["kept"], 300]]
    assert told["n_segments"] < 4


# ---- damage


def test_a_flipped_byte_costs_one_event_and_is_set_aside(tmp_path):
    path, log = _written(tmp_path, 5)
    data = bytearray(path.read_bytes())
    size = len(data) // 5
    data[2 * size + HEADER_BYTES + 9] ^= 0xFF
    path.write_bytes(data)
    end = log.complete_end(path.stem, 0)
    assert end == len(data)
    events = log.read(SegmentRange(path.stem, 0, end))
    assert [next(events), next(events)] == [prediction(0), prediction(1)]
    with pytest.raises(Corrupt) as caught:
        next(events)
    assert caught.value.facts["segment"] == path.stem
    assert (caught.value.facts["start"], caught.value.facts["end"]) == (2 * size, 3 * size)
    assert list(log.read(SegmentRange(path.stem, 3 * size, end))) == [prediction(3), prediction(4)]
    aside = tmp_path / "corrupt" / f"{path.stem}-{2 * size:012d}.bin"
    assert aside.read_bytes() == data[2 * size : 3 * size]
    assert [info.name for info in log.segments()] == [path.stem]


def test_a_wrong_length_does_not_hide_what_follows(tmp_path):
    """Without a checksum of its own the header would promise a frame of gigabytes, still being written."""
    path, log = _written(tmp_path, 3)
    data = bytearray(path.read_bytes())
    data[7] ^= 0x7F
    path.write_bytes(data)
    size = len(data) // 3
    assert log.complete_end(path.stem, 0) == len(data)
    assert list(log.read(SegmentRange(path.stem, size, len(data)))) == [prediction(1), prediction(2)]


def test_a_whole_frame_that_is_no_event_is_damage(tmp_path):
    path, log = _written(tmp_path, 1)
    good = path.stat().st_size
    with path.open("ab") as file:
        file.write(frame(b"\xc1"))
        file.write(frame(b"\x92\xa1p\xa1\xff"))
    with pytest.raises(Corrupt, match="no capture event") as caught:
        list(log.read(SegmentRange(path.stem, good, path.stat().st_size)))
    assert caught.value.facts["start"] == good
    with pytest.raises(Corrupt, match="no capture event"):
        list(log.read(SegmentRange(path.stem, caught.value.facts["end"], path.stat().st_size)))


def test_a_torn_tail_stays_outside_for_ever(tmp_path):
    path, log = _written(tmp_path, 2)
    whole = path.stat().st_size
    for n_cut in (1, HEADER_BYTES + 1, len(frame(b"x" * 100)) - 1):
        torn = frame(b"x" * 100)[:-n_cut]
        path.write_bytes(path.read_bytes()[:whole] + torn)
        assert log.complete_end(path.stem, 0) == whole
        assert log.complete_end(path.stem, whole) == whole


def test_damage_at_the_end_waits_while_the_segment_is_open(tmp_path):
    """Its writer may be about to write; once it is gone, the bytes are counted in, to be reported."""
    writer, log = _writer(tmp_path), SegmentLog(tmp_path)
    writer.append(prediction(1))
    [path] = tmp_path.glob("*.seg")
    whole = path.stat().st_size
    with path.open("ab") as file:
        file.write(b"\0" * 50)
    assert log.complete_end(path.stem, 0) == whole
    writer.append(prediction(2))
    assert log.complete_end(path.stem, 0) == path.stat().st_size
    with path.open("ab") as file:
        file.write(b"\0" * 50)
    writer.close()
    assert log.complete_end(path.stem, 0) == path.stat().st_size

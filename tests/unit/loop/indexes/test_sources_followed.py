"""Whoever follows a source: what changed there is found, and what fails is told."""

from __future__ import annotations

import threading
from contextlib import nullcontext

from perdure.core.clock import machine_us, monotonic_s
from perdure.core.errors import StoreError
from perdure.loop.work.indexes import following
from perdure.loop.work.indexes.counting import take_census
from perdure.loop.work.indexes.following import Follower


class Opens:
    """Gives one version that is open already."""

    def __init__(self, world):
        self.world = world

    def open(self, name, version):
        return nullcontext(self.world.opened)

    def versions(self, name):
        return ["handbook@1"]


def test_a_change_is_there_within_a_second_of_being_seen(built, place):
    over, done = threading.Event(), []
    follower = Follower(place, Opens(built), built.opened.index, "me")
    thread = threading.Thread(target=follower.run, args=(over.is_set, done.append, done.append))
    thread.start()
    try:
        until = monotonic_s() + 20.0
        built.write("a0/00.md", "changed once")
        while monotonic_s() < until and not any("changed once" in row.text for row in built.rows()):
            over.wait(0.02)
    finally:
        over.set()
        thread.join()
    [report] = [each for each in done if each.n_chunks_made]
    assert report.done == {"update": 1}
    assert report.repair_s < 1.0
    assert take_census(built.opened, machine_us()).skews == []


def test_a_source_that_is_down_is_told_at_once_and_once_until_it_answers_again(built, place, monkeypatch):
    """By the name that the loop's incident has too: whoever reads the log need not wait for a round that measures."""
    monkeypatch.setattr(following, "_AGAIN_S", 0.05)
    over, failed = threading.Event(), []
    follower = Follower(place, Opens(built), built.opened.index, "me")
    thread = threading.Thread(target=follower.run, args=(over.is_set, failed.append))
    away = built.folder.with_name("away")

    def until(holds):
        end_s = monotonic_s() + 20.0
        while monotonic_s() < end_s and not holds():
            over.wait(0.02)
        assert holds()

    thread.start()
    try:
        for n_told in (1, 2):
            built.write("a0/00.md", f"words {n_told}")
            until(lambda now=f"words {n_told}": any(now in row.text for row in built.rows()))
            until(lambda: not follower._told[0])  # a sync that was whole
            known = len(failed)
            built.folder.rename(away)
            until(lambda known=known: len(failed) > known)
            over.wait(0.5)
            said = [str(each) for each in failed[known:]]
            assert len(said) == len(set(said)), "ten tries later it is the same"
            away.rename(built.folder)
    finally:
        over.set()
        thread.join()
    assert failed[0].message.startswith("The source of 'handbook' does not answer (source_down): ")
    assert "Nothing is deleted" in failed[0].hint


def test_what_fails_in_the_same_way_is_told_again_after_a_minute(built, place, monkeypatch):
    clock = iter([0.0, 59.0, 60.0, 60.0, 61.0, 62.0])
    monkeypatch.setattr(following, "monotonic_s", lambda: next(clock))
    follower, failed = Follower(place, Opens(built), built.opened.index, "me"), []
    for error in ["It is away.", "It is away.", "It is away.", "It is away.", "It is locked."]:
        follower._tell(StoreError(error), failed.append)
    assert [each.message for each in failed] == ["It is away.", "It is away.", "It is locked."]
